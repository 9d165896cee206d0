"""Run folders: how they are named, found and written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ConfigError, DataError, ResourceError
from svipctl.held import held
from svipctl.runs import Run, find_run, list_runs, new_run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from tests.processes import files_under


def settings(runs: Path, *assignments: str) -> Settings:
    return resolve("cub", assignments=[f"runs_dir={runs}", *assignments]).settings


def started(runs: Path, *assignments: str, age: int = 0, finished: bool = True) -> Run:
    mine = settings(runs, *assignments)
    run = new_run(mine)
    run.start(mine, {"a": 1}, ["x.jpg", "y z.jpg"])
    os.utime(run.folder / "config.toml", (1000 - age, 1000 - age))
    if finished:
        run.finish({"epochs": 1})
    return run


def test_what_is_started_is_read_back(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", "train.fold=2")
    assert run.settings() == settings(tmp_path, "name=a", "train.fold=2")
    assert run.training_images() == {"x.jpg", "y z.jpg"}


def test_runs_without_a_name_are_numbered_after_recipe_seed_and_fold(tmp_path: Path) -> None:
    names = [started(tmp_path, *extra).name for extra in ([], [], [], ["seed=3"], ["train.fold=1"])]
    assert names == ["svipctl-seed0", "svipctl-seed0-2", "svipctl-seed0-3", "svipctl-seed3", "svipctl-seed0-fold1"]


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "-x", "a b", ".."])
def test_a_name_that_is_no_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no name for a run"):
        new_run(settings(tmp_path, f"name='{name}'"))


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    started(tmp_path, "name=a")
    with pytest.raises(ConfigError, match="already a run"):
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


def test_a_damaged_configuration_of_a_run_is_our_error(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a")
    (run.folder / "config.toml").write_text("seed = [")
    with pytest.raises(DataError, match="is damaged"):
        run.settings()


def test_missing_training_images_are_our_error(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a")
    (run.folder / "training_images.txt").unlink()
    with pytest.raises(DataError):
        run.training_images()


def test_metrics_are_appended_under_one_header(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a")
    run.add_metrics({"epoch": 1, "loss": 0.5})
    run.add_metrics({"epoch": 2, "loss": 0.25})
    assert (run.folder / "metrics.csv").read_text() == "epoch,loss\n1,0.5\n2,0.25\n"
    assert (run.folder / "metrics.jsonl").read_text() == '{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.25}\n'


def test_saving_json_leaves_no_unfinished_file(tmp_path: Path) -> None:
    path = Run(tmp_path).save_json("eval/metrics.json", {"a": 1})
    with pytest.raises(TypeError):
        Run(tmp_path).save_json("eval/metrics.json", {"a": object()})
    assert path.read_text() == '{\n  "a": 1\n}\n'


def test_a_disk_that_is_full_when_a_run_goes_on_leaves_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path, "name=a", finished=False)
    for epoch in (1, 2, 3):
        run.add_metrics({"epoch": epoch, "loss": epoch / 4})
        run.add_steps([{"epoch": epoch, "step": 1, "loss": 0.5}])
    before = files_under(run.folder)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("svipctl.records.os.fsync", full)
        with pytest.raises(ResourceError):
            run.keep_metrics(2, {"epoch": 2, "loss": 0.5})
        with pytest.raises(ResourceError):
            run.keep_steps(2, 0)
    assert files_under(run.folder) == before


def test_a_run_is_abandoned_while_nobody_is_at_work_in_it_and_it_has_no_checkpoint(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", finished=False)
    assert run.is_abandoned
    assert new_run(settings(tmp_path, "name=a"), anew=True) == run
    with held(run.folder):
        assert not run.is_abandoned
        with pytest.raises(ConfigError, match="already a run"):
            new_run(settings(tmp_path, "name=a"), anew=True)
    run.last.with_name(".last.old").mkdir(parents=True)  # what a kill between two renames leaves
    assert not run.is_abandoned
    run.discard_without_checkpoint()
    assert run.folder.exists()


def test_a_folder_that_is_no_run_is_never_taken_for_an_abandoned_one(tmp_path: Path) -> None:
    (tmp_path / "cub" / "a").mkdir(parents=True)
    with pytest.raises(ConfigError, match="already a run"):
        new_run(settings(tmp_path, "name=a"), anew=True)
    assert not started(tmp_path, "name=b").is_abandoned


def test_a_last_line_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    run = started(tmp_path)
    for epoch in (1, 2):
        run.add_metrics({"epoch": epoch, "loss": epoch / 4})
        run.add_steps([{"epoch": epoch, "step": step, "loss": 0.5} for step in (1, 2)])
    for name in ("metrics.jsonl", "steps.jsonl"):
        path = run.folder / name
        path.write_text(path.read_text()[:-4])
    run.keep_metrics(2, {"epoch": 2, "loss": 0.5})
    run.keep_steps(3, 0)
    assert (run.folder / "metrics.jsonl").read_text().splitlines()[1] == '{"epoch": 2, "loss": 0.5}'
    assert (run.folder / "metrics.csv").read_text() == "epoch,loss\n1,0.25\n2,0.5\n"
    assert len((run.folder / "steps.jsonl").read_text().splitlines()) == 3
