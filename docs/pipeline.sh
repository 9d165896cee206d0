#!/usr/bin/env bash
# From an archive to named pictures and a file to ship, without reading a line of prose: exit codes and jq only.
#
# Usage: docs/pipeline.sh [DATASET] [FLAGS OF TRAIN...]
#   MIRROR=URL    fetch an official data set from there first; MANIFEST=FILE names its archives and checksums
#   VECTORS=FILE  word vectors of the attributes; toybirds has its own
#   SVIPCTL_...   any setting, for instance SVIPCTL_GPU=cpu or SVIPCTL_TRAIN__EPOCHS=1
set -euo pipefail
shopt -s inherit_errexit
dataset=${1:-toybirds}
shift || true

# One command, and what its document has to say: ends with the command's own exit code, or 1 when jq says no, and
# stderr says to what.
ask() {
    local wanted=$1 document
    shift
    document=$(svipctl "$@" --json --quiet)
    jq -er "$wanted" <<<"$document" || {
        echo "error: \`svipctl $*\` was done, but its document fails the check: $wanted" >&2
        return 1
    }
}

if [[ -n ${MIRROR:-} ]]; then
    ask '.datasets[0].missing == 0' data fetch "$dataset" --mirror "$MIRROR" ${MANIFEST:+--manifest "$MANIFEST"} >/dev/null
fi
# The published vectors of SUN have a row of zeros too: "man-made" is no word of word2vec's.
ask '.zero_rows - [select(.dataset == "sun") | "man-made"] == []' w2v build "$dataset" ${VECTORS:+--vectors "$VECTORS"} >/dev/null
run=$(ask .run train "$dataset" "$@")
t1=$(ask .protocols.zsl.T1 eval "$dataset" --run "$run")
file=$(ask 'select(.passed) | .path' export "$dataset" --run "$run")

[[ -d $dataset ]] && folder=$dataset || folder=${SVIPCTL_DATA_DIR:-data}/$dataset
named=$(find -L "$folder" -ipath '*images/*' -type f | sort | sed -n 1,8p |
    ask 'select(.failed == 0 and all(.images[]; .answers | length > 0)) | .named' predict - --run "$run")
jq -n --arg run "$run" --arg file "$file" --argjson T1 "$t1" --argjson named "$named" '{$run, $T1, $file, $named}'
