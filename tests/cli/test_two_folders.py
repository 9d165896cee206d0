"""Test data folders of one name in different places: their runs are in one folder, and are not confused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_bad_input import assert_refused, change
from tests.conftest import Command
from tests.processes import files_under
from tests.runs.made import rewrite

pytestmark = pytest.mark.slow

CPU = ("--gpu", "cpu")


@pytest.fixture
def other(small_folder: Path, tmp_path: Path) -> Path:
    """Return a data folder with the name of the shared one and another table, in another place."""
    folder = Path(shutil.move(small_folder, tmp_path / "elsewhere" / "small"))
    change(folder / "attributes.csv", "seen_b,0,1,0", "seen_b,0,0.9,0")
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()


def test_a_run_records_its_data_folder(trained: Path, shared_folder: Path) -> None:
    assert json.loads((trained / "environment.json").read_text())["data_folder"] == str(shared_folder.resolve())


@pytest.mark.parametrize("verb", [("eval",), ("export",), ("visualize", "patches")], ids=" ".join)
@pytest.mark.fast
def test_the_run_of_another_folder_is_refused_with_the_name_of_that_folder(
    verb: tuple[str, ...], command: Command, trained_copy: Path, other: Path, shared_folder: Path
) -> None:
    before = files_under(trained_copy)
    done = command(*verb, str(other))
    assert_refused(done, 3, "were trained on another data folder with that name", str(shared_folder), "--run first")
    assert files_under(trained_copy) == before


def test_each_folder_gets_its_own_newest_run(
    command: Command, trained_copy: Path, other: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(other), *tiny, "--name", "second")
    assert done.code == 0, done.stderr
    assert command("eval", str(shared_folder), "--json", *CPU).document["run"] == "first"
    assert command("eval", str(other), "--json", *CPU).document["run"] == "second"


def test_a_run_of_another_table_that_is_named_is_refused_because_of_the_table(
    command: Command, trained_copy: Path, other: Path
) -> None:
    assert_refused(command("eval", str(other), "--run", "first", *CPU), 3, "have changed since the run was trained")


def test_a_copy_with_the_same_table_and_a_moved_folder_are_the_same_data_set(
    command: Command, trained_copy: Path, small_folder: Path
) -> None:
    assert command("eval", str(small_folder), *CPU).code == 0
    note = trained_copy / "environment.json"
    rewrite(note, json.dumps(json.loads(note.read_text()) | {"data_folder": "/gone/small", "attributes_sha256": "0"}))
    assert command("eval", str(small_folder), *CPU).code == 0


def test_a_run_is_not_resumed_on_another_folder(
    command: Command, trained_copy: Path, other: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    (trained_copy / "finished.json").unlink()
    refused = command("train", str(other), *tiny, "--resume", "first")
    assert_refused(refused, 2, "first was trained on another data folder of the same name", str(shared_folder))
    plan = command("train", str(other), *tiny, "--resume", "--dry-run", "--json")
    assert plan.document["run"] == "runs/small/svipctl-seed0", "a new run"
    plan = command("train", str(shared_folder), *tiny, "--resume", "--dry-run", "--json")
    assert plan.document["run"] == "runs/small/first"


def test_an_unfinished_run_is_not_the_default_and_is_labelled_if_requested(
    command: Command, trained_copy: Path, shared_folder: Path
) -> None:
    (trained_copy / "finished.json").unlink()
    refused = command("eval", str(shared_folder), *CPU)
    assert_refused(refused, 3, "there is no finished run", "unfinished: first", "--resume", "--run first")
    done = command("eval", str(shared_folder), "--run", "first", *CPU, "--json")
    assert done.code == 0, done.stderr
    assert done.document["warnings"][0] == "first is unfinished: this is its state after epoch 1 of 1"
    shutil.rmtree(trained_copy / "checkpoints")
    refused = command("eval", str(shared_folder), "--run", "first", *CPU)
    assert_refused(refused, 3, "first is unfinished", "its best epoch is not known yet", "--resume first")
