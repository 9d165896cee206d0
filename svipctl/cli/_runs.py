"""The run that a command uses, and the settings to use it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink

if TYPE_CHECKING:
    from svipctl.cli._overrides import Overrides
    from svipctl.runs.run import Run
    from svipctl.settings.layers import Resolved
    from svipctl.settings.schema import Settings


def find_any_run(name: str | None, overrides: Overrides) -> Run:
    """Return the run of that name, or the newest finished one, of any data set."""
    from svipctl.runs.lookup import find_run_of_any

    return find_run_of_any(overrides.workspace().runs_dir, name)


def announce_run(run: Run) -> None:
    """Note which run was selected, and whether it was trained on a part of the training classes only."""
    fold = run.settings().train.fold
    part = "" if fold is None else f" (a development run: fold {fold}, trained on a part of the training classes)"
    sink.note(f"run {run.folder}{part}")


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
    from svipctl.device import choose_device
    from svipctl.runs.lookup import find_run

    configured = overrides.resolve(dataset, more)
    choose_device(configured.settings.gpu)  # a missing GPU is an error in a dry run too
    run = find_run(configured.settings.runs_dir, configured.settings.dataset, name)
    if name is None:
        announce_run(run)
    return run, with_precision_of(run.settings(), configured)


def with_precision_of(trained: Settings, configured: Resolved) -> Settings:
    """Return the settings with the precision of training, unless more than a preset asks for another."""
    if configured.origins.get("precision", "preset").startswith(("preset", "recipe")):
        return configured.settings.model_copy(update={"precision": trained.precision})
    return configured.settings
