"""Which run to go on with, and whether the configuration asked for is the one it was started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from svipctl.datasets.identity import FOLDER
from svipctl.errors import ConfigError, DataError
from svipctl.files import is_locked
from svipctl.quoting import shell_command, shell_words
from svipctl.runs.lookup import find_run, is_row_of_table, list_runs, name_of
from svipctl.runs.run import Run
from svipctl.settings.keys import WHERE_AND_HOW, flatten
from svipctl.settings.schema import Settings
from svipctl.training.state import read_position

AUTO = "auto"
# Of these, what the run had unless another value is asked for: without them it may not fit into memory.
_KEPT = ("train.accumulate", "train.checkpointing", "train.compile")
_ARITHMETIC = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Resumable:
    """A run and the settings it goes on with; of a finished one nothing is left to do."""

    run: Run
    settings: Settings
    changed: tuple[str, ...] = ()
    """What is computed otherwise than when it began; the result is the same to rounding."""

    @property
    def position(self) -> str:
        """Where an unfinished one stands, as a person counts."""
        epoch, step = read_position(self.run.last)
        return f"at epoch {epoch + 1}, step {step + 1}"


def find_resumable(
    settings: Settings, origins: Mapping[str, str], resume: str, *, final: bool = False
) -> Resumable | None:
    """The run that `--resume` means.

    Args:
        settings: As resolved from the command.
        origins: Layer of each key; what only a preset or a default says was not asked for, and the run's value stays.
        resume: Name or folder of a run, or `auto`: the newest unfinished run of the data set that was started with
            what is asked for, or the one that the settings name, finished or not; none if there is none.
        final: A run without a fold is asked for.

    Raises:
        ConfigError: The run of that name is finished, or was started with another configuration; or with `auto` every
            unfinished one of the same recipe, seed and fold was.
        DataError: There is no run of that name, or it has no checkpoint.

    """
    asked = {
        key: value
        for key, value in flatten(settings).items()
        if not origins.get(key, "default").startswith(("default", "preset", "recipe")) and key != "dataset"
    }
    if final:
        asked["train.fold"] = None
    if asked.get("precision") == "auto":
        del asked["precision"]  # what the run had is one of those that it allows
    if resume == AUTO:
        return _newest(settings, asked)
    run = find_run(settings.runs_dir, settings.dataset, resume)
    if run.finished:
        raise ConfigError(f"{run.name} is finished", todo=shell_command("eval", settings.dataset, "--run", run.name))
    if not run.has_checkpoint:
        raise DataError(
            f"{run.name} has no checkpoint to resume from",
            todo=f"begin it anew: the same command with {shell_words('--name', run.name, '--resume', 'auto')}",
        )
    if not run.is_of(settings.dataset):
        raise ConfigError(
            f"{run.name} was started on another folder of that name",
            why=str(run.environment().get(FOLDER)),
            todo=shell_command("train", run.environment().get(FOLDER), "--resume", run.name),
        )
    return _going_on(run, settings, asked, otherwise="train a new run without --resume")


def check_same_images(run: Run, images: Sequence[str]) -> None:
    """Raise DataError unless the run was started on these training images."""
    before = run.training_images()
    if before != frozenset(images):
        raise DataError(
            f"the training images are not those that {run.name} was started with",
            why=f"{len(before)} then, {len(set(images))} now",
            todo="restore the data set, or train a new run without --resume",
        )


def differences(started: Settings, asked: Mapping[str, Any]) -> list[str]:
    """Each setting that is asked for otherwise than the run has it and that would change its result."""
    had = flatten(started)
    return [
        f"{key}: {had.get(key)} in the run, {value} now"
        for key, value in sorted(asked.items())
        if key not in WHERE_AND_HOW and had.get(key) != value
    ]


def _newest(settings: Settings, asked: Mapping[str, Any]) -> Resumable | None:
    runs = [run for run in reversed(list_runs(settings.runs_dir, settings.dataset)) if run.is_of(settings.dataset)]
    if settings.name:
        named = [run for run in runs if run.name == settings.name and not run.is_baseline]
        named = [run for run in named if run.finished or run.has_checkpoint]
        return _going_on(named[0], settings, asked, otherwise="choose another --name") if named else None
    runs = [run for run in runs if run.has_checkpoint and not run.finished and not is_row_of_table(run)]
    for run in runs:
        started = _as_started(run)
        if not differences(started, asked):
            return _resumable(run, started, settings, asked)
    for run in runs:
        # Neither another run of the same experiment is meant, with its own seed or fold, nor one that is being trained.
        if name_of(run.settings()) == name_of(settings) and not is_locked(run.folder):
            return _going_on(run, settings, asked, otherwise="begin another with --name NEW")
    return None


def _going_on(run: Run, settings: Settings, asked: Mapping[str, Any], *, otherwise: str) -> Resumable:
    """Raise ConfigError if what is asked for would change the run's result; `otherwise` is what to do instead."""
    started = _as_started(run)
    different = differences(started, asked)
    if different:
        longer = f"; {shell_words('--init-from', run.folder)} begins with its weights" if run.finished else ""
        raise ConfigError(
            f"{run.name} is {'finished' if run.finished else 'unfinished'} and was started with another configuration",
            why="\n".join(different),
            todo=f"leave these flags out, or {otherwise}{longer}",
        )
    return _resumable(run, started, settings, asked)


def _resumable(run: Run, started: Settings, settings: Settings, asked: Mapping[str, Any]) -> Resumable:
    now = _merged(started, settings, asked)
    before, after = flatten(started), flatten(now)
    changed = (f"{key}: {after[key]}, before {before[key]}" for key in _KEPT if after[key] != before[key])
    return Resumable(run, now, tuple(changed))


def _as_started(run: Run) -> Settings:
    """The run's settings, with the arithmetic that `auto` was on the machine where it began."""
    settings = run.settings()
    had = _ARITHMETIC.get(str(run.environment().get("precision")))
    return settings.model_copy(update={"precision": had}) if had and settings.precision == "auto" else settings


def _merged(started: Settings, now: Settings, asked: Mapping[str, Any]) -> Settings:
    """The run's settings, with the free ones of the new command."""
    free = {key: getattr(now, key) for key in WHERE_AND_HOW if "." not in key and key != "name"}
    sections: dict[str, dict[str, Any]] = {}
    for key in WHERE_AND_HOW:
        section, _, name = key.partition(".")
        if name and (key in asked or key not in _KEPT):
            sections.setdefault(section, {})[name] = getattr(getattr(now, section), name)
    free["dataset"] = now.dataset  # its folder may have been moved
    free |= {section: getattr(started, section).model_copy(update=values) for section, values in sections.items()}
    return started.model_copy(update=free)
