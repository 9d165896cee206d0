#!/usr/bin/env bash
# From data to an evaluated run without reading a line of prose: exit codes and jq only.
# Usage: docs/pipeline.sh [DATASET] [FLAGS OF TRAIN...]; MIRROR=URL fetches an official data set from there first.
set -euo pipefail
dataset=${1:-toybirds}
shift || true

if [[ -n ${MIRROR:-} ]]; then
    svipctl data fetch "$dataset" --mirror "$MIRROR" --json --quiet | jq -e '.datasets[0].missing == 0' >/dev/null
fi
svipctl w2v build "$dataset" ${VECTORS:+--vectors "$VECTORS"} --json --quiet | jq -e '.zero_rows == []' >/dev/null
run=$(svipctl train "$dataset" "$@" --json --quiet | jq -er .run)
svipctl eval "$dataset" --run "$run" --json --quiet | jq -e '.protocols.zsl.T1' >/dev/null
echo "$run"
