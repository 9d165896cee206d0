"""Select the run and the data set of a command, and set up its processes and signals."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from svipctl.cli import _options
from svipctl.cli._output import sink

if TYPE_CHECKING:
    from svipctl.cli._overrides import Overrides
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.distributed.ranks import Ranks
    from svipctl.inference.gamma import Gamma
    from svipctl.runs.run import Run
    from svipctl.settings.layers import Resolved
    from svipctl.settings.schema import Settings
    from svipctl.types import ProgressCallback


def find_any_run(name: str | None, overrides: Overrides) -> Run:
    """Return the run of a name, or the newest finished one, of any data set."""
    from svipctl.runs.lookup import find_run_of_any

    return find_run_of_any(overrides.workspace().runs_dir, name)


def announce_run(run: Run) -> None:
    """Print which run was selected, and if it is a development run."""
    fold = run.settings().train.fold
    part = "" if fold is None else f" (development run: fold {fold}, trained on a part of the seen classes)"
    sink.note(f"run {run.folder}{part}")


def announce_gamma(gamma: Gamma) -> None:
    """Print the gamma of the answers and its origin; warn if it was not calibrated."""
    (sink.note if gamma.value or gamma.origin == "given" else sink.warn)(str(gamma))


def select_run(
    dataset: str, name: str | None, overrides: Overrides, more: Mapping[str, Any] | None = None
) -> tuple[Run, Settings]:
    """Return the run, and the settings of its evaluation.

    Args:
        dataset: The run's data set.
        name: Name or folder of the run, or None for the newest finished one.
        overrides: The settings of the command line.
        more: As for `Overrides.resolve`.

    """
    from svipctl.runs.lookup import find_run

    configured = overrides.resolve(dataset, more)
    settings = configured.settings
    run = find_run(settings.runs_dir, settings.dataset, name, data_dir=settings.data_dir)

    from svipctl.device import choose_device

    choose_device(settings.gpu)  # a missing GPU is an error in a dry run too
    if name is None:
        announce_run(run)
    return run, with_precision_of(run.settings(), configured)


def with_precision_of(trained: Settings, configured: Resolved) -> Settings:
    """Return the settings with the precision of training, unless a layer above the presets sets another."""
    if configured.origins.get("precision", "preset").startswith(("preset", "recipe")):
        return configured.settings.model_copy(update={"precision": trained.precision})
    return configured.settings


def open_dataset(settings: Settings, *, allow_partial: bool = False, listed: Sequence[str] | None = None) -> Benchmark:
    """Open the data set of the settings, with a progress bar while a built-in one is drawn.

    Args:
        settings: The settings of the command.
        allow_partial: Allow missing images even if the settings do not.
        listed: Names of the images that a file of features has, see `open_benchmark`.

    """
    from svipctl.datasets.registry import open_benchmark

    partial = allow_partial or settings.data.allow_partial
    with sink.progress(f"drawing {settings.dataset}") as progress:
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

        raise typer.Exit(launch(gpu, [word for word in sys.argv[1:] if word != _options.STANDALONE]))
    with joined(None if dry_run else place, sink.warn) as ranks:
        if not dry_run:
            choose_device(gpu, ranks.local)
        sink.silent = not ranks.is_first
        yield ranks
