"""The Python API: open a data set, train, and evaluate, with the functions that the command line uses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.registry import open_benchmark
from svipctl.device import choose_device, gpu_flag
from svipctl.distributed.ranks import ALONE
from svipctl.errors import ConfigError, with_system_errors
from svipctl.evaluation.evaluate import evaluate_model
from svipctl.evaluation.result import ModelEvaluation
from svipctl.inference.load import load
from svipctl.inference.trained_model import TrainedModel
from svipctl.quoting import shell_command
from svipctl.runs.run import Run
from svipctl.settings.layers import Resolved, resolve
from svipctl.settings.schema import RecipeName
from svipctl.training.development import calibrated_name, calibration_runs, with_development
from svipctl.training.resume import AUTO
from svipctl.training.session import Listener, choose, run_session
from svipctl.training.step_log import Record
from svipctl.training.trainer import Reporter
from svipctl.types import Precision, ProgressCallback


class TrainingRun(Run):
    """A run that `svipctl.train` has finished."""

    def load(self, *, device: str = "auto", precision: Precision = "auto") -> TrainedModel:
        """Load the run's best checkpoint; same arguments as `svipctl.load`."""
        return load(self.folder, device=device, precision=precision)


@with_system_errors
def open_dataset(
    name: str | Path,
    data_dir: str | Path = "data",
    *,
    allow_partial: bool = False,
    progress: bool | ProgressCallback = False,
) -> Benchmark:
    """Open a data set; a built-in one is drawn first if it does not exist yet.

    Args:
        name: `cub`, `awa2`, `sun`, `toybirds`, or a folder of your own.
        data_dir: Folder of the named data sets.
        allow_partial: Open `cub`, `awa2` or `sun` although images of it are missing.
        progress: True for a bar on stderr, or a function of items done and items in total.

    Raises:
        ConfigError: The name is neither known nor a folder.
        DataError: Files are missing or contradict each other.

    """
    with _callback(progress, f"generating the classes of {name}") as callback:
        return open_benchmark(str(name), Path(data_dir), callback, allow_partial=allow_partial)


@with_system_errors
def evaluate(
    model: TrainedModel | str | Path | Run,
    dataset: Benchmark | str | Path | None = None,
    *,
    batch_size: int | None = None,
    bootstrap: int | None = None,
    selection: bool | None = None,
    seed: int | None = None,
    workers: int | None = None,
    progress: bool | ProgressCallback = False,
) -> ModelEvaluation:
    """Evaluate a model under every protocol, from one pass over the images, without writing anything.

    Arguments that are not given have the values of the data set's preset, so that `svipctl eval` gives the same
    numbers.

    Args:
        model: A model from `svipctl.load`, or an argument of `svipctl.load`.
        dataset: The data set that it was trained on, from `svipctl.open_dataset`, or its name or folder; found by the
            model if None.
        batch_size: Images computed together.
        bootstrap: Resamples for the 95 % intervals; 0 for none.
        selection: Measure the patch classifier, which takes one more pass over each image.
        seed: Random seed of the bootstrap.
        workers: Processes that decode images.
        progress: True for a bar on stderr, or a function of images done and images in total.

    Raises:
        ConfigError: A value is out of range.
        DataError: The model was trained on images or classes that would be scored as unseen, or on another data set.
        CheckFailed: The network's output is not finite.

    """
    if not isinstance(model, TrainedModel):
        model = load(model)
    if not isinstance(dataset, Benchmark):
        dataset = (model if dataset is None else replace(model, dataset=str(dataset))).open_dataset()
    given = {"eval.batch_size": batch_size, "eval.bootstrap": bootstrap, "eval.selection": selection}
    given |= {"seed": seed, "data.workers": workers}
    settings = resolve(dataset.name, flags=given, environment=os.environ).settings
    with _callback(progress, "predicting") as callback:
        return evaluate_model(model, dataset, settings, callback)


@with_system_errors
def train(
    dataset: str | Path,
    *,
    recipe: RecipeName | None = None,
    seed: int | None = None,
    name: str = "",
    settings: Mapping[str, Any] | None = None,
    from_development: str | Path | Run | Sequence[str | Path | Run] = (),
    calibrate: bool = False,
    resume: str | Path | Run | None = None,
    data_dir: str | Path = "data",
    runs_dir: str | Path = "runs",
    device: str | int = "auto",
    progress: bool = False,
) -> TrainingRun:
    """Train a run on one device, and return it when it is finished.

    Args:
        dataset: `cub`, `awa2`, `sun`, `toybirds`, or a folder of your own.
        recipe: `svipctl`, `hybrid`, `reference` or `paper`; the data set's default if None.
        seed: Random seed; 0 if None.
        name: Name of the run; made from recipe and seed if empty.
        settings: Any settings by dotted key, for instance `{"optim.lr": 1e-4}` (docs/recipes.md).
        from_development: Finished development runs, or their names or folders, for a final run with their epoch count
            and gamma.
        calibrate: First train, or continue, a development run on each fold, and use these.
        resume: An unfinished run, or its name or folder, or `auto`, as `svipctl train --resume`.
        data_dir: Folder of the named data sets.
        runs_dir: Folder of the runs.
        device: `auto`, `cpu`, or the index of a GPU; for several use the command line.
        progress: Show bars, notes and a line per epoch on stderr.

    Raises:
        ConfigError: Settings, device or name are unusable; lists every problem of the settings.
        DataError: The data set, weights or development runs are missing or damaged.
        CheckFailed: The loss is not finite.
        ResourceError: Not enough memory or disk.
        Interrupted: A signal was received; the state is saved.

    """
    device = str(device)
    if "," in device:
        raise ConfigError(
            f"device={device!r} names several devices, which only the command line uses together",
            todo=shell_command("train", dataset, "--gpu", device),
        )
    flags: dict[str, Any] = {"recipe": recipe, "seed": seed, "name": name or None, "gpu": gpu_flag(device)}
    settings = {  # numbers and arrays of numpy as those of Python
        str(key): value.tolist() if hasattr(value, "tolist") else value for key, value in dict(settings or {}).items()
    }
    flags |= {"data_dir": Path(data_dir), "runs_dir": Path(runs_dir), **settings}
    flags = {key: value for key, value in flags.items() if value is not None}

    def configure(**found: Any) -> Resolved:
        # User settings are checked against the development runs.
        return resolve(str(dataset), flags=found | flags, environment=os.environ)

    if calibrate:
        if from_development or resume:
            raise ConfigError("calibrate=True cannot be combined with from_development or resume", todo="omit them")
        one = partial(train, dataset, recipe=recipe, seed=seed, resume=AUTO, device=device, progress=progress)
        one = partial(one, data_dir=data_dir, runs_dir=runs_dir)
        final, given = calibrated_name(configure().settings), dict(settings)
        runs = calibration_runs(final)
        for own_name, decided in runs.items():
            one(name=own_name, settings=given | decided)
        given.pop("train.epochs", None)
        return one(name=final, settings=given, from_development=list(runs))

    development = None
    if from_development:
        found = [from_development] if isinstance(from_development, str | Path | Run) else from_development
        configured, development = with_development(configure, [_run_name(one) for one in found])
    else:
        configured = configure()
    listener = _OnStderr(is_shown=progress)
    choose_device(configured.settings.gpu)  # before anything is drawn or downloaded
    asked = None if resume is None else _run_name(resume)
    session = choose(configured.settings, configured.origins, asked, ALONE, development)
    if not session.is_done:
        run_session(session, ALONE, listener, listener.reporter)
    return TrainingRun(session.run.folder)


def _run_name(run: str | Path | Run) -> str:
    """Return a run of the Python API as the command line names it."""
    return str(run.folder if isinstance(run, Run) else run)


class _OnStderr(Listener, Reporter):
    """A listener and reporter that writes to stderr, or to the output of a notebook's cell; or shows nothing."""

    def __init__(self, *, is_shown: bool) -> None:
        from rich.console import Console

        self.is_shown = is_shown
        self.console = Console(stderr=True, quiet=not is_shown)

    def note(self, text: str) -> None:
        """Print a note."""
        self.console.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.note(f"warning: {text}")

    def progress(self, what: str) -> AbstractContextManager[ProgressCallback | None]:
        """Show a bar."""
        return _callback(self.is_shown, what)

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Ignore a step."""

    def epoch(self, record: Record) -> None:
        """Print an epoch's loss and the figures of the monitored split."""
        figures = ("loss", "source_accuracy", "contextualized_accuracy", "T1", "U", "S", "H_oracle")
        shown = [name for name in figures if name in record]
        self.note(f"epoch {record['epoch']}: " + ", ".join(f"{name} {record[name]:.3g}" for name in shown))

    def reporter(self, epochs: int, images: int, *, resumed: bool) -> AbstractContextManager[Reporter]:
        """Return this object as the reporter of the training loop."""
        return nullcontext(self)


def _callback(progress: bool | ProgressCallback, what: str) -> AbstractContextManager[ProgressCallback | None]:
    """Return the callback for the `progress` of a public function."""
    if callable(progress):
        return nullcontext(progress)
    return _bar(what) if progress else nullcontext()


@contextmanager
def _bar(what: str) -> Iterator[ProgressCallback]:
    """Show a bar on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
