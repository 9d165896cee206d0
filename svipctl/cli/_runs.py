"""Select the run and the data set of a command, and set up its processes and signals."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from svipctl.cli._command import STANDALONE
from svipctl.cli._output import sink
from svipctl.errors import SvipError
from svipctl.quoting import shell_words

if TYPE_CHECKING:
    from svipctl.cli._overrides import Overrides
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.distributed.ranks import Ranks
    from svipctl.inference.gamma import Gamma
    from svipctl.runs.run import Run
    from svipctl.settings.layers import Resolved
    from svipctl.settings.schema import Settings
    from svipctl.types import Precision, ProgressCallback


def find_run(dataset: str | None, name: str | None, overrides: Overrides) -> tuple[Run, Settings]:
    """Return the run of a name, or the newest finished one, and the settings of a command that uses it as `as_trained`.

    Args:
        dataset: The run's data set, or None for a run of any.
        name: Name or folder of the run.
        overrides: The settings of the command line.

    """
    from svipctl.runs import lookup

    if dataset is None:
        run = lookup.find_run_of_any(overrides.workspace().runs_dir, name)
        configured = overrides.resolve(run.settings().dataset)
    else:
        configured = overrides.resolve(dataset)
        settings = configured.settings
        run = lookup.find_run(settings.runs_dir, settings.dataset, name, data_dir=settings.data_dir)
    trained = run.settings()
    return run, as_trained(configured, trained.precision, allow_partial=trained.data.allow_partial)


def announce_gamma(gamma: Gamma, run: Run | None) -> None:
    """Print the gamma of the answers of a run and its origin; warn if it was not calibrated."""
    if gamma.value or gamma.origin == "given":
        sink.note(str(gamma))
        return

    better = _calibrated_run(run) if run else None
    instead = f"use {shell_words('--run', better.folder)}" if better else "train with --calibrate"
    sink.warn(f"gamma is 0: {gamma.origin}; pass --gamma, or {instead}")


def _calibrated_run(run: Run) -> Run | None:
    """Return the newest finished run of the same data set with a gamma from development runs, or None."""
    from svipctl.runs.folder import RunFile
    from svipctl.runs.run import Run

    dataset = run.settings().dataset
    developed = run.folder.parent.glob(f"*/{RunFile.DEVELOPMENT}")
    for path in sorted(developed, key=os.path.getmtime, reverse=True):
        other = Run(path.parent)
        with suppress(SvipError):  # only advice: another run may be damaged
            if other.finished and not other.is_baseline and other.is_of(dataset):
                return other
    return None


def select_run(dataset: str | None, name: str | None, overrides: Overrides) -> tuple[Run, Settings]:
    """Return run and settings as `find_run`, for a command on one device; print which run is the newest finished one."""
    run, settings = find_run(dataset, name, overrides)

    from svipctl.device import choose_device

    choose_device(settings.gpu)  # a missing GPU is an error in a dry run too
    if name is None:
        announce_run(run)
    return run, settings


def announce_run(run: Run) -> None:
    """Print which run was selected, and if it is a development run."""
    fold = run.settings().train.fold
    part = "" if fold is None else f" (development run: fold {fold}, trained on a part of the seen classes)"
    sink.note(f"using run {run.folder}{part}")


def as_trained(configured: Resolved, precision: Precision, *, allow_partial: bool = False) -> Settings:
    """Return the settings of a command that uses a trained network.

    Args:
        configured: The settings and their origins.
        precision: Precision of the training, used unless a layer above the presets sets another.
        allow_partial: True if images were missing in the training, and so may be missing now.

    """
    settings = configured.settings
    if configured.origins.get("precision", "preset").startswith(("preset", "recipe")):
        settings = settings.model_copy(update={"precision": precision})
    if allow_partial:
        data = settings.data.model_copy(update={"allow_partial": True})
        settings = settings.model_copy(update={"data": data})
    return settings


def open_dataset(settings: Settings, *, allow_partial: bool = False, listed: Sequence[str] | None = None) -> Benchmark:
    """Open the data set of the settings, with a progress bar while a built-in one is drawn.

    Args:
        settings: The settings of the command.
        allow_partial: Allow missing images even if the settings do not.
        listed: Names of the images that a feature file has, see `open_benchmark`.

    """
    from svipctl.datasets.registry import open_benchmark

    partial = allow_partial or settings.data.allow_partial
    with sink.progress(f"generating the classes of {settings.dataset}") as progress:
        return open_benchmark(settings.dataset, settings.data_dir, progress, allow_partial=partial, listed=listed)


@contextmanager
def shared_progress(what: str, ranks: Ranks) -> Iterator[ProgressCallback]:
    """Show the progress of a loop that processes share; a signal to any of them interrupts all at the next item.

    A single process is interrupted by a signal at any point.

    Args:
        what: Description of the loop.
        ranks: The processes.

    """
    from svipctl.signals import listening

    with sink.progress(what) as progress:
        if ranks.world == 1:
            yield progress
            return
        with listening() as stop:

            def step(done: int, total: int) -> None:
                progress(done, total)
                stop.record(*ranks.most(stop.number))
                stop.raise_if_asked()

            yield step
            stop.raise_if_asked()  # a signal after the last item


@contextmanager
def joined_processes(gpu: str, *, standalone: bool = False, dry_run: bool = False) -> Iterator[Ranks]:
    """Yield this process's place among those of `--gpu`; with several devices, start a process for each and exit.

    A missing GPU is an error before anything is drawn. All processes but the first print only errors of their own.

    Args:
        gpu: The flag's value.
        standalone: Run alone, and ignore a launcher's variables.
        dry_run: Start no processes, wait for none and use no device.

    """
    from svipctl.device import choose_device
    from svipctl.distributed.ranks import joined
    from svipctl.distributed.rendezvous import place_of

    place = None if standalone else place_of(os.environ)
    if "," in gpu and place is None and not dry_run:
        from svipctl.distributed.launch import launch

        raise typer.Exit(launch(gpu, [word for word in sys.argv[1:] if word != STANDALONE]))
    with joined(None if dry_run else place, sink.warn) as ranks:
        if not dry_run:
            choose_device(gpu, ranks.local)
        sink.silent = not ranks.is_first
        yield ranks
