"""TensorBoard reads back what the run's own files say, once, resumed or not."""

from __future__ import annotations

import functools
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ConfigError
from svipctl.training.tensorboard_log import check_installed
from tests.conftest import Command
from tests.training.test_resume import ARGUMENTS, RUN, STEPS, signal_at_update

WITH = ("--set", "train.tensorboard=true")


def read_back(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (position, value), as TensorBoard itself reads the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def expected(run: Path) -> dict[str, list[tuple[int, Any]]]:
    """The same from steps.jsonl and metrics.jsonl."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for name, group in (("steps.jsonl", "step"), ("metrics.jsonl", "epoch")):
        for line in (run / name).read_text().splitlines():
            record = json.loads(line)
            place = (record["epoch"] - 1) * STEPS + record["step"] if group == "step" else record["epoch"]
            for key, value in record.items():
                if key not in ("epoch", "step", "monitor"):
                    found.setdefault(f"{group}/{key}", []).append((place, pytest.approx(value, rel=1e-6)))
    return found


def test_the_board_has_every_figure_of_steps_and_epochs(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *tiny, *ARGUMENTS, *WITH)
    assert done.code == 0, done.stderr
    found = read_back(tmp_path / RUN / "tensorboard")
    assert found == expected(tmp_path / RUN)
    assert len(found["step/loss"]) == 2 * STEPS
    assert {"step/lr", "step/patch", "epoch/images_per_second", "epoch/patch_auc", "epoch/loss"} <= set(found)


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_a_resumed_run_writes_nothing_twice(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], name: signal.Signals
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *WITH)
    stopped = command(*arguments, "--set", "train.save_every=60", first=functools.partial(signal_at_update, 14, name))
    assert stopped.code in (-signal.SIGKILL, 75)
    assert (
        read_back(tmp_path / RUN / "tensorboard")["step/loss"][:STEPS] == expected(tmp_path / RUN)["step/loss"][:STEPS]
    )
    resumed = command(*arguments, "--resume", "one")
    assert resumed.code == 0, resumed.stderr
    assert read_back(tmp_path / RUN / "tensorboard") == expected(tmp_path / RUN)


def test_the_board_may_be_asked_for_only_when_a_run_goes_on(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    assert not (tmp_path / RUN / "tensorboard").exists()
    resumed = command(*arguments, *WITH, "--resume", "one")
    assert resumed.code == 0, resumed.stderr
    assert read_back(tmp_path / RUN / "tensorboard") == expected(tmp_path / RUN)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        check_installed()
    assert "svipctl[tensorboard]" in caught.value.todo


def without_tensorboard() -> None:
    """In the forked process: the extra is not installed."""
    import importlib.util

    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name == "tensorboard" else found(name, *more)


def test_without_the_extra_no_run_is_begun(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *tiny, *WITH, first=without_tensorboard)
    assert (done.code, done.stdout) == (2, "")
    assert "pip install 'svipctl[tensorboard]'" in done.stderr
    assert not (tmp_path / "runs").exists()
