"""Test `svipctl baseline` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_schemas import follows
from tests.conftest import NETWORK, Command

pytestmark = pytest.mark.slow

NETWORK_FLAGS = (
    *("--backbone", "vit_tiny_patch16_224", "--weights", "none", "--gpu", "cpu"),
    *("--set", NETWORK, "--set", "data.workers=0"),
)


@pytest.mark.parametrize("method", ["ridge", "eszsl", "sae", "prototypes", "bilinear"])
def test_a_baseline_has_every_row_and_is_saved_as_a_run(
    method: str, command: Command, small_folder: Path, tmp_path: Path
) -> None:
    flags = ("--method", method, "--fold", "1", "--fold", "2", *NETWORK_FLAGS)
    done = command("baseline", str(small_folder), *flags, "--json")
    assert done.code == 0, done.stderr
    assert follows("baseline", done.document)
    assert set(done.document["protocols"]) == {*("zsl", "gzsl", "gzsl-calibrated", "gzsl-oracle", "reference", "ausuc")}
    run = tmp_path / "runs" / "small" / method
    assert json.loads((run / "eval" / "metrics.json").read_text()) == done.document
    assert [one["fold"] for one in json.loads((run / "development.json").read_text())["runs"]] == [1, 2]
    again = command("baseline", str(small_folder), *flags)
    assert again.code == 2
    assert "already exists" in again.stderr


def test_no_command_takes_a_baseline_for_a_network(command: Command, small_folder: Path) -> None:
    assert command("baseline", str(small_folder), *NETWORK_FLAGS).code == 0
    newest = command("eval", str(small_folder), "--gpu", "cpu")
    assert newest.code == 3
    assert "there is no finished run of small" in newest.stderr
    named = command("eval", str(small_folder), "--run", "ridge", "--gpu", "cpu")
    assert named.code == 2
    assert "ridge is a baseline" in named.stderr


def test_unknown_methods_and_folds_are_refused(command: Command, shared_folder: Path, tmp_path: Path) -> None:
    unknown = command("baseline", str(shared_folder), "--method", "rigde")
    assert (unknown.code, unknown.stdout) == (2, "")
    assert "did you mean 'ridge'" in unknown.stderr
    fold = command("baseline", str(shared_folder), "--fold", "7", *NETWORK_FLAGS)
    assert fold.code == 2
    assert "has no fold 7" in fold.stderr
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_writes_nothing(command: Command, shared_folder: Path, tmp_path: Path) -> None:
    done = command("baseline", str(shared_folder), "--dry-run", "--json", *NETWORK_FLAGS)
    assert done.code == 0, done.stderr
    assert follows("baseline", done.document)
    assert not (tmp_path / "runs").exists()
