"""Send the metrics of steps.jsonl and metrics.jsonl to experiment trackers (TensorBoard and others), through
accelerate.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError, NetworkError, first_line
from svipctl.runs.records import Record
from svipctl.runs.run import Run
from svipctl.settings.keys import flatten
from svipctl.settings.schema import Settings

_SERVICES = {
    "wandb": ("WANDB_MODE", ("online", "shared")),
    "mlflow": ("MLFLOW_TRACKING_URI", ("http", "databricks")),
    "trackio": ("TRACKIO_SPACE_ID", ("",)),
}
"""Tracker -> variable that makes it send metrics to a service, and the beginnings of such values."""
_VIEWERS = {
    "tensorboard": "tensorboard --logdir {runs}",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{run}/mlflow/mlflow.db",
    "wandb": "wandb sync {run}/wandb/offline-run-*",
    "trackio": "trackio show",
}
_LAUNCHER = ("LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Variables for which accelerate would start process groups and set thread counts."""


def check_trackers(settings: Settings) -> None:
    """Check that each tracker of the settings is installed and allowed.

    Raises:
        ConfigError: A package is not installed.
        NetworkError: The environment sends the metrics to a service, and `offline` forbids it.

    """
    for name in settings.train.tracker_names:
        for package in ("accelerate", name):
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"the tracker {name} needs the package {package}, which is not installed",
                    todo=f"pip install 'svipctl[{name}]', or remove {name} from train.trackers",
                )
        variable, remote = _SERVICES.get(name, ("", ()))
        value = os.environ.get(variable, "")
        if settings.offline and value and value.startswith(remote):
            raise NetworkError(
                f"the tracker {name} would send metrics to a service, which --offline forbids",
                why=f"{variable}={value}",
                todo=f"unset {variable}, or omit --offline",
            )


def viewers(run: Run, settings: Settings) -> dict[str, str]:
    """Return tracker -> command that shows its metrics, for trackers that store them on this machine."""
    local = [name for name in settings.train.tracker_names if not os.environ.get(_SERVICES.get(name, ("", ()))[0])]
    return {name: _VIEWERS[name].format(run=run.folder, runs=settings.runs_dir) for name in local if name in _VIEWERS}


class Trackers:
    """The trackers of one run; each receives `step/<figure>` and `epoch/<figure>` over the steps of the whole run.

    A tracker that fails is dropped with a warning: the run's own records are complete without it.
    """

    def __init__(self, run: Run, settings: Settings, warn: Callable[[str], None]) -> None:
        """Prepare the trackers of `train.trackers`; nothing is started.

        Args:
            run: Run whose folder contains the stores of TensorBoard, MLflow and W&B, unless the environment sets
                others.
            settings: Configuration of the run, which is sent too.
            warn: Function that receives a warning for each tracker that fails.

        """
        self.run, self.settings, self.warn = run, settings, warn
        self.started: dict[str, Any] = {}
        self.ends: dict[str, ExitStack] = {}
        self.steps_per_epoch = 0

    def begin(self, steps_per_epoch: int) -> None:
        """Start the trackers and send everything that the run has recorded so far.

        Stores are append-only, and a resumed run repeats the steps after its last save: stores in the run's folder are
        rewritten, and elsewhere a second run of the same name starts.

        Raises:
            ConfigError: A tracker does not start.

        """
        self.steps_per_epoch = steps_per_epoch
        for name in self.settings.train.tracker_names:
            shutil.rmtree(self.run.folder / name, ignore_errors=True)
            try:
                self.ends[name] = ExitStack()
                with redirect_stdout(io.StringIO()):  # it is for a command's result
                    self.started[name] = _started(name, self.run, self.settings, self.ends[name])
            except Exception as error:  # each library raises its own exceptions
                raise ConfigError(
                    f"the tracker {name} does not start",
                    why=f"{type(error).__name__}: {first_line(error)}",
                    todo=f"set it up (docs/trackers.md), or remove {name} from train.trackers",
                ) from error
        epochs = {record["epoch"]: record for record in self.run.metrics}
        for record in self.run.steps:
            self.steps([record])
            if record["step"] == steps_per_epoch and record["epoch"] in epochs:
                self.epoch(epochs[record["epoch"]])

    def steps(self, records: Iterable[Record]) -> None:
        """Send the metrics of steps."""
        for record in records:
            self._send("step", record, (record["epoch"] - 1) * self.steps_per_epoch + record["step"])

    def epoch(self, record: Record) -> None:
        """Send the metrics of an epoch, at its last step."""
        self._send("epoch", record, record["epoch"] * self.steps_per_epoch)

    def close(self) -> None:
        """End the trackers."""
        self._each(lambda name, tracker: self.ends[name].close())

    def _send(self, group: str, record: Record, position: int) -> None:
        figures = {"epoch": record["epoch"]}
        for name, value in record.items():
            if name not in ("epoch", "step") and isinstance(value, int | float):
                figures[f"{group}/{name}"] = value
        self._each(lambda name, tracker: tracker.log(figures, step=position))

    def _each(self, action: Callable[[str, Any], object]) -> None:
        for name, tracker in list(self.started.items()):
            try:
                with redirect_stdout(io.StringIO()):
                    action(name, tracker)
            except Exception as error:  # each library raises its own exceptions
                del self.started[name]
                self.warn(f"the tracker {name} failed and is disabled for this run: {first_line(error)}")


def _started(name: str, run: Run, settings: Settings, at_end: ExitStack) -> Any:
    """Return an accelerate tracker with a started run of this run's name; `at_end` receives its closing function."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    with _without(_LAUNCHER):
        PartialState(cpu=True)
    project = dataset_name(settings.dataset)
    if name == "tensorboard":
        arguments: dict[str, Any] = {"logging_dir": run.folder}
        project = name  # accelerate uses it as the name of the folder
    elif name == "mlflow":
        use_local_store(run.folder / name, at_end)
        arguments = {"run_name": run.name}
    elif name == "trackio":
        import trackio

        at_end.callback(trackio.finish)  # after `tracker.finish`: otherwise it writes to stdout when the program ends
        arguments = {"name": run.name, "embed": False}
    else:
        quiet = {"silent": True, "console": "off"}
        mode = os.environ.get("WANDB_MODE", "offline")
        arguments = {"name": run.name, "dir": run.folder, "mode": mode, "settings": quiet}
    tracker = LOGGER_TYPE_TO_CLASS[name](project, **arguments)
    tracker.start()
    at_end.callback(tracker.finish)
    if name != "tensorboard":  # which would show the configuration as another run
        tracker.store_init_configuration({key: _plain(value) for key, value in flatten(settings).items()})
    return tracker


def use_local_store(folder: Path, at_end: ExitStack) -> None:
    """Let MLflow keep everything in a folder, unless the environment sets a store."""
    import mlflow

    if "MLFLOW_TRACKING_URI" not in os.environ:
        folder.mkdir()
        mlflow.set_tracking_uri(f"sqlite:///{folder.absolute() / 'mlflow.db'}")
        # It is now in the environment, where the next run of this process would find it.
        at_end.callback(mlflow.set_tracking_uri, None)  # type: ignore[arg-type]  # documented


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Hide variables of the environment."""
    hidden: Mapping[str, str] = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
