"""Test the content of a run: written, read back, and not lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from svipctl.errors import ConfigError, DataError, ResourceError
from svipctl.files import file_lock, is_locked
from svipctl.runs.lookup import new_run
from svipctl.runs.run import Run
from tests.faults import disk_fault, full_from
from tests.processes import files_under
from tests.runs.made import make_old, settings, started


def test_a_started_run_is_read_back(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", "train.fold=2")
    assert run.settings() == settings(tmp_path, "name=a", "train.fold=2")
    assert run.training_images() == {"x.jpg", "y z.jpg"}


@pytest.mark.parametrize(("written", "kind"), [("true", "blocks"), ("false", "none")])
def test_a_boolean_checkpointing_of_an_older_run_is_converted(tmp_path: Path, written: str, kind: str) -> None:
    run = started(tmp_path)
    config = run.folder / "config.toml"
    config.write_text(config.read_text().replace('checkpointing = "none"', f"checkpointing = {written}"))
    make_old(run.folder)
    assert written in config.read_text()
    assert run.settings().train.checkpointing == kind


def test_a_damaged_configuration_of_a_run_is_a_data_error(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a")
    (run.folder / "config.toml").write_text("seed = [")
    with pytest.raises(DataError, match="is damaged"):
        run.settings()


def test_missing_training_images_are_a_data_error(tmp_path: Path) -> None:
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


def test_columns_that_an_older_version_did_not_have_leave_the_table_consistent(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a")
    run.add_metrics({"epoch": 1, "loss": 0.5})
    run.add_metrics({"epoch": 2, "auc": 60.0, "loss": 0.25})
    assert (run.folder / "metrics.csv").read_text() == "epoch,loss,auc\n1,0.5,\n2,0.25,60.0\n"
    run.keep_metrics(2, {})
    run.add_metrics({"epoch": 3, "auc": 70.0, "loss": 0.2})
    assert (run.folder / "metrics.csv").read_text() == "epoch,loss,auc\n1,0.5,\n2,0.25,60.0\n3,0.2,70.0\n"


def test_saving_json_leaves_no_unfinished_file(tmp_path: Path) -> None:
    path = tmp_path / "eval" / "metrics.json"
    Run(tmp_path).save_json("eval/metrics.json", {"a": 1})
    with pytest.raises(TypeError):
        Run(tmp_path).save_json("eval/metrics.json", {"a": object()})
    assert path.read_text() == '{\n  "a": 1\n}\n'


def test_a_full_disk_when_a_run_resumes_leaves_its_records(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", finished=False)
    for epoch in (1, 2, 3):
        run.add_metrics({"epoch": epoch, "loss": epoch / 4})
        run.add_steps([{"epoch": epoch, "step": 1, "loss": 0.5}])
    before = files_under(run.folder)

    with disk_fault(full_from(1), "fsync"):
        with pytest.raises(ResourceError):
            run.keep_metrics(2, {"epoch": 2, "loss": 0.5})
        with pytest.raises(ResourceError):
            run.keep_steps(2, 0)
    assert files_under(run.folder) == before


def test_a_run_is_abandoned_if_no_process_uses_it_and_it_has_no_checkpoint(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", finished=False)
    assert run.is_abandoned
    assert new_run(settings(tmp_path, "name=a"), replace_abandoned=True) == run
    with file_lock(run.folder):
        assert not run.is_abandoned
        with pytest.raises(ConfigError, match="already exists"):
            new_run(settings(tmp_path, "name=a"), replace_abandoned=True)
    run.last.with_name(".last.old").mkdir(parents=True)  # what a kill between two renames leaves
    assert not run.is_abandoned
    run.discard_without_checkpoint()
    assert run.folder.exists()


def test_a_folder_that_is_not_a_run_is_never_taken_for_an_abandoned_one(tmp_path: Path) -> None:
    (tmp_path / "cub" / "a").mkdir(parents=True)
    assert new_run(settings(tmp_path, "name=a"), replace_abandoned=True).is_abandoned, (
        "killed after the folder was made"
    )
    (tmp_path / "cub" / "a" / "notes.txt").touch()
    with pytest.raises(ConfigError, match="already exists"):
        new_run(settings(tmp_path, "name=a"), replace_abandoned=True)
    assert not started(tmp_path, "name=b").is_abandoned


def test_a_baseline_without_its_figures_is_abandoned(tmp_path: Path) -> None:
    run = started(tmp_path, "name=ridge", finished=False)
    run.save_json("baseline.json", {"method": "ridge"})
    assert run.is_abandoned
    run.save_json("eval/metrics.json", {})
    assert not run.is_abandoned


@pytest.mark.parametrize("error", [ResourceError("full"), KeyboardInterrupt()], ids=["error", "signal"])
def test_a_new_run_that_fails_leaves_no_folder(tmp_path: Path, error: BaseException) -> None:
    run = new_run(settings(tmp_path, "name=a"))

    def work() -> None:
        with run.written_to(is_new=True):
            assert is_locked(run.folder)
            raise error

    with pytest.raises(type(error)):
        work()
    assert not run.folder.exists()


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def replace_by_another(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    (folder / "config.toml").write_text("of another process")


WRITES: dict[str, Callable[[Run], object]] = {
    "metrics": lambda run: run.add_metrics({"epoch": 1}),
    "kept metrics": lambda run: run.keep_metrics(0, {}),
    "steps": lambda run: run.add_steps([{"epoch": 1, "step": 1}]),
    "document": lambda run: run.save_json("eval/metrics.json", {}),
    "end": lambda run: run.finish({}),
    "checkpoint": lambda run: run.check_folder(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("gone", [remove, replace_by_another])
def test_a_run_that_is_removed_while_it_is_written_is_an_error_and_not_recreated(
    tmp_path: Path, gone: Callable[[Path], None], write: Callable[[Run], object]
) -> None:
    run = new_run(settings(tmp_path, "name=a"))

    def work() -> None:
        with run.written_to(is_new=True) as mine:
            gone(run.folder)
            write(mine)

    with pytest.raises(DataError, match="was removed or replaced"):
        work()
    assert [path.name for path in tmp_path.rglob("a/*")] == ([] if gone is remove else ["config.toml"])


def test_a_truncated_last_line_is_written_again(tmp_path: Path) -> None:
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


def test_a_baseline_has_no_network_and_the_error_names_its_figures(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.require_network()
    run.save_json("baseline.json", {})
    with pytest.raises(ConfigError, match="is a baseline") as refused:
        run.require_network()
    assert "eval/metrics.json" in refused.value.todo


def test_a_run_is_finished_only_after_the_disk_has_stored_it(tmp_path: Path) -> None:
    run = started(tmp_path, finished=False)
    with disk_fault(full_from(1), "fsync"), pytest.raises(ResourceError):
        run.finish({"epochs": 1})
    assert not run.finished


def test_an_unfinished_run_has_no_network_before_its_first_best_epoch(tmp_path: Path) -> None:
    run = started(tmp_path, "name=a", finished=False)
    with pytest.raises(DataError, match="a is unfinished") as caught:
        run.require_network()
    assert caught.value.todo == "svipctl train cub --resume a"
    run.best.mkdir(parents=True)
    run.require_network()


def test_discarding_the_only_run_removes_its_folder_of_runs_too(tmp_path: Path) -> None:
    one, other = (started(tmp_path, f"name={name}", finished=False) for name in "ab")
    one.discard_without_checkpoint()
    assert other.folder.exists()
    other.discard_without_checkpoint()
    assert not other.folder.parent.exists()


def test_a_run_that_another_process_writes_is_only_read(tmp_path: Path) -> None:
    Run(tmp_path / "one").make()
    run = Run(tmp_path / "one", read_only=True)
    before = sorted(tmp_path.rglob("*"))
    Run(tmp_path / "two", read_only=True).make()
    run.add_metrics({"epoch": 1})
    run.keep_metrics(1, {"epoch": 1})
    run.add_steps([{"epoch": 1, "step": 1}])
    run.keep_steps(1, 1)
    run.save_json("finished.json", {"a": 1})
    run.finish({"epochs": 1})
    run.discard_without_checkpoint()
    assert sorted(tmp_path.rglob("*")) == before
