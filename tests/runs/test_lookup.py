"""Test how commands find a run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ConfigError, DataError
from svipctl.runs.lookup import find_run, find_run_of_any, list_runs, new_run, owner_of
from tests.runs.made import settings, started


def test_runs_without_a_name_are_numbered_after_recipe_seed_and_fold(tmp_path: Path) -> None:
    names = [started(tmp_path, *extra).name for extra in ([], [], [], ["seed=3"], ["train.fold=1"])]
    assert names == ["svipctl-seed0", "svipctl-seed0-2", "svipctl-seed0-3", "svipctl-seed3", "svipctl-seed0-fold1"]


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "-x", "a b", ".."])
def test_an_invalid_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a valid run name"):
        new_run(settings(tmp_path, f"name='{name}'"))


def test_an_existing_name_is_refused(tmp_path: Path) -> None:
    started(tmp_path, "name=a")
    with pytest.raises(ConfigError, match="already exists"):
        new_run(settings(tmp_path, "name=a"))


def test_the_newest_finished_run_is_found(tmp_path: Path) -> None:
    started(tmp_path, "name=old", age=9)
    newest = started(tmp_path, "name=middle", age=5)
    started(tmp_path, "name=unfinished", finished=False)
    assert [run.name for run in list_runs(tmp_path, "cub")] == ["old", "middle", "unfinished"]
    assert find_run(tmp_path, "cub") == newest
    assert find_run(tmp_path, "cub", "unfinished").name == "unfinished"
    assert find_run(Path("elsewhere"), "cub", str(newest.folder)).folder == newest.folder


def test_without_a_finished_run_the_unfinished_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished run of cub"):
        find_run(tmp_path, "cub")
    started(tmp_path, "name=half", finished=False)
    with pytest.raises(DataError, match="unfinished: half"):
        find_run(tmp_path, "cub")


def test_an_unusable_run_is_not_suggested(tmp_path: Path) -> None:
    half = started(tmp_path, "name=half", finished=False)
    with pytest.raises(DataError) as none:
        find_run(tmp_path, "cub")
    assert none.value.todo == "svipctl train cub --resume"
    half.best.mkdir(parents=True)
    with pytest.raises(DataError) as offered:
        find_run(tmp_path, "cub")
    assert offered.value.todo == "svipctl train cub --resume, or use it as it is: --run half"


def test_a_run_in_place_of_a_data_set_is_recognised(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a")
    with pytest.raises(ConfigError, match="is a run, not a data set") as caught:
        find_run(tmp_path, str(run.folder))
    assert caught.value.todo == "pass the data set that it was trained on: cub"
    with pytest.raises(ConfigError, match="no data set 'svipctl-seed0'"):
        find_run(tmp_path, "svipctl-seed0")


def test_resuming_an_unfinished_run_of_the_same_name_is_suggested(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", finished=False)
    run.last.mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        new_run(settings(tmp_path, "name=a"))
    assert caught.value.todo.startswith("--resume a continues it; or choose another --name")


def test_rows_of_a_table_and_baselines_are_used_only_by_name(tmp_path: Path) -> None:
    mine = started(tmp_path, "name=mine", age=5)
    started(tmp_path, "name=table-svipctl-full-seed0", age=1)
    ridge = started(tmp_path, "name=ridge")
    ridge.save_json("baseline.json", {})
    assert find_run(tmp_path, "cub").name == find_run_of_any(tmp_path).name == mine.name
    assert find_run(tmp_path, "cub", "table-svipctl-full-seed0").name == "table-svipctl-full-seed0"


def test_without_other_runs_the_newest_row_of_a_table_is_used(tmp_path: Path) -> None:
    started(tmp_path, "name=table-a", age=5)
    started(tmp_path, "name=table-b")
    assert find_run(tmp_path, "cub").name == find_run_of_any(tmp_path).name == "table-b"


def test_a_run_that_may_not_be_read_is_an_error_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path, "name=a")
    stat = os.stat

    def refusing(path: Any, *more: Any, **named: Any) -> os.stat_result:
        if str(path).startswith(str(run.folder)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *more, **named)

    monkeypatch.setattr(os, "stat", refusing)
    with pytest.raises(DataError, match="not allowed to read"):
        list_runs(tmp_path, "cub")


@pytest.mark.parametrize(
    "file", ["checkpoints/best", "checkpoints/best/model.safetensors", "checkpoints/w.pth", "w.pth"]
)
def test_a_file_or_folder_of_a_run_belongs_to_it(file: str, tmp_path: Path) -> None:
    run = started(tmp_path)
    path = run.folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(exist_ok=True) if not path.suffix else path.write_bytes(b"")
    found = owner_of(path)
    assert found is not None
    assert found.folder == run.folder.resolve()
    assert owner_of(tmp_path / "elsewhere" / "best") is None
