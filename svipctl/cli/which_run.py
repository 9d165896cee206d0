"""Which run a command means where its data set is not named, and saying which one was taken where none was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.cli.configure import resolved
from svipctl.cli.output import sink

if TYPE_CHECKING:
    from svipctl.runs.run import Run


def run_of_any(name: str | None, runs_dir: Path | None, config: Path | None, assignments: Sequence[str] | None) -> Run:
    """The run of that name, or the newest finished one, of whichever data set."""
    from svipctl.runs.finding import find_run_of_any

    settings = resolved("toybirds", config=config, assignments=assignments, runs_dir=runs_dir).settings
    return find_run_of_any(settings.runs_dir, name)


def tell_run(run: Run) -> None:
    """A remark that this one was taken, and whether it knows a part of the training classes only."""
    fold = run.settings().train.fold
    part = "" if fold is None else f" (a development run: fold {fold}, trained on a part of the training classes)"
    sink.note(f"run {run.folder}{part}")
