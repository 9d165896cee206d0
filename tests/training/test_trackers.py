"""Test that each tracker contains exactly what the run's own files record, once, resumed or not."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ConfigError, NetworkError
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.training.trackers import Trackers, check_trackers, use_local_store
from tests.conftest import Command
from tests.training.test_resume import ARGUMENTS, RUN, STEPS, signal_at_update

pytestmark = pytest.mark.slow

Curves = dict[str, list[tuple[int, float]]]
WITH = ("--set", "train.tensorboard=true")
INSTALLED = [name for name in ("tensorboard", "mlflow", "trackio", "wandb") if importlib.util.find_spec(name)]


def from_tensorboard(folder: Path) -> Curves:
    """Return tag -> (position, value), as TensorBoard itself reads the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / RUN / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def from_mlflow(folder: Path) -> Curves:
    """Return metric -> (position, value), as MLflow reads its store."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / RUN}/mlflow/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    assert (run.info.run_name, run.data.params["train.epochs"]) == ("one", "2")
    return {
        name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def from_trackio(folder: Path) -> Curves:
    """Return metric -> (position, value), as trackio reads its store."""
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    from trackio.sqlite_storage import SQLiteStorage

    assert SQLiteStorage.get_runs("small") == ["one"]
    rows = SQLiteStorage.get_logs("small", "one")
    names = {name for row in rows for name in row if "/" in name}
    return {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}


READERS: dict[str, Callable[[Path], Curves]] = {
    "tensorboard": from_tensorboard,
    "mlflow": from_mlflow,
    "trackio": from_trackio,
}


def expected(run: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return the same from steps.jsonl and metrics.jsonl."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for name, group in (("steps.jsonl", "step"), ("metrics.jsonl", "epoch")):
        for line in (run / name).read_text().splitlines():
            record = json.loads(line)
            place = (record["epoch"] - 1) * STEPS + record.get("step", STEPS)
            for key, value in record.items():
                if key not in ("epoch", "step", "monitor"):
                    found.setdefault(f"{group}/{key}", []).append((place, pytest.approx(value, rel=1e-6)))
    return found


def assert_same(found: Curves, run: Path) -> None:
    wanted = expected(run)
    assert {name: sorted(found.get(name, [])) for name in wanted} == wanted


def trackio_here() -> None:
    """In the forked process: make trackio store its figures in the working folder."""
    os.environ["TRACKIO_DIR"] = str(Path.cwd() / "trackio")


def test_each_tracker_has_every_figure_of_steps_and_epochs(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    with_all = ("--set", f"train.trackers={','.join(INSTALLED)}")
    done = command("train", str(shared_folder), *tiny, *ARGUMENTS, *with_all, "--json", first=trackio_here)
    assert done.code == 0, done.stderr
    assert done.document["run"] == str(RUN)
    assert "tensorboard: tensorboard --logdir runs" in done.stderr
    offline = list((tmp_path / RUN).glob("wandb/offline-run-*/*.wandb"))  # a binary log, read by W&B's own service
    assert [b"epoch/images_per_second" in path.read_bytes() for path in offline] == [True] * ("wandb" in INSTALLED)
    for name in set(INSTALLED) & set(READERS):
        found = READERS[name](tmp_path)
        assert_same(found, tmp_path / RUN)
        assert len(found["step/loss"]) == 2 * STEPS
        assert {"step/lr", "step/patch", "epoch/images_per_second", "epoch/patch_auc", "epoch/loss"} <= set(found)


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_a_resumed_run_writes_nothing_twice(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], name: signal.Signals
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *WITH)
    stopped = command(*arguments, "--set", "train.save_every=60", first=functools.partial(signal_at_update, 14, name))
    assert stopped.code in (-signal.SIGKILL, 75)
    assert from_tensorboard(tmp_path)["step/loss"][:STEPS] == expected(tmp_path / RUN)["step/loss"][:STEPS]
    resumed = command(*arguments, "--resume", "one")
    assert resumed.code == 0, resumed.stderr
    assert_same(from_tensorboard(tmp_path), tmp_path / RUN)


def test_a_tracker_can_be_added_when_a_run_resumes(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    assert not (tmp_path / RUN / "tensorboard").exists()
    resumed = command(*arguments, "--set", "train.trackers=tensorboard", "--resume", "one")
    assert resumed.code == 0, resumed.stderr
    assert_same(from_tensorboard(tmp_path), tmp_path / RUN)


def settings_with(*trackers: str, **settings: Any) -> Settings:
    return Settings(dataset="small", train={"trackers": trackers}, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("missing", "extra"), [("mlflow", "mlflow"), ("accelerate", "tensorboard")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, extra: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else name)
    with pytest.raises(ConfigError, match=f"package {missing}, which is not installed") as caught:
        check_trackers(settings_with("tensorboard", "mlflow"))
    assert f"svipctl[{extra}]" in caught.value.todo


@pytest.mark.parametrize(
    ("variable", "value", "refused"),
    [
        ("MLFLOW_TRACKING_URI", "https://tracking.example", True),
        ("MLFLOW_TRACKING_URI", "sqlite:///mine.db", False),
        ("MLFLOW_TRACKING_URI", "", False),
    ],
)
def test_offline_forbids_a_service(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, refused: bool) -> None:
    monkeypatch.setenv(variable, value)
    check_trackers(settings_with("mlflow"))
    if refused:
        with pytest.raises(NetworkError, match="--offline forbids"):
            check_trackers(settings_with("mlflow", offline=True))
    else:
        check_trackers(settings_with("mlflow", offline=True))


def test_a_failed_tracker_is_dropped_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    trackers = Trackers(Run(tmp_path), settings_with("tensorboard"), warnings.append)
    trackers.begin(1)
    record = {"epoch": 1, "step": 1, "loss": 1.0}
    trackers.started["tensorboard"].writer.close()
    trackers.started["tensorboard"].writer = None
    trackers.steps([record, record])
    trackers.close()
    assert len(warnings) == 1
    assert "the tracker tensorboard failed and is disabled for this run" in warnings[0]


@pytest.mark.slow
def test_a_tracker_that_does_not_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(ConfigError, match="mlflow does not start"):
        Trackers(Run(tmp_path), settings_with("mlflow"), print).begin(1)


@pytest.mark.slow
def test_each_run_of_a_process_has_its_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("one", "two"):
        with ExitStack() as at_end:
            use_local_store(tmp_path / name, at_end)
            assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path / name}/mlflow.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_trackers_may_be_separated_by_commas_and_tensorboard_set_by_its_earlier_name() -> None:
    settings = Settings.model_validate({"dataset": "x", "train": {"trackers": "mlflow, wandb", "tensorboard": True}})
    assert settings.train.tracker_names == ("mlflow", "wandb", "tensorboard")


def without_tensorboard() -> None:
    """In the forked process: make the extra unavailable."""
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name == "tensorboard" else found(name, *more)


def test_without_the_extra_no_run_is_started(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *tiny, *WITH, first=without_tensorboard)
    assert (done.code, done.stdout) == (2, "")
    assert "pip install 'svipctl[tensorboard]'" in done.stderr
    assert not (tmp_path / "runs").exists()
