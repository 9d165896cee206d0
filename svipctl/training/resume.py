"""Which run to go on with, and whether the configuration asked for is the one it was started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from svipctl.datasets.identity import FOLDER
from svipctl.errors import ConfigError, DataError
from svipctl.held import is_held
from svipctl.runs.finding import find_run, list_runs
from svipctl.runs.run import Run
from svipctl.settings.layers import flatten
from svipctl.settings.schema import Settings
from svipctl.training.state import read_position

AUTO = "auto"
# These decide where and how fast, not what: a resumed run takes them from the new command.
FREE = frozenset(
    [
        *("gpu", "offline", "name", "data_dir", "runs_dir", "data.workers", "train.save_every"),
        *("train.accumulate", "train.checkpointing", "train.compile", "train.tensorboard"),
        *("eval.batch_size", "eval.bootstrap", "eval.selection"),
    ]
)
_TOLD = ("gpu", "train.accumulate", "train.checkpointing", "train.compile")  # of these, when a run goes on otherwise
_ARITHMETIC = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Resumable:
    """A run and the settings it goes on with; nothing is left to do when it is finished."""

    run: Run
    settings: Settings
    changed: tuple[str, ...] = ()
    """What goes on otherwise than it began, without a change to the result."""

    @property
    def position(self) -> str:
        """Where it stands, as a person counts."""
        if self.run.finished:
            return "after its last epoch"
        epoch, step = read_position(self.run.last)
        return f"at epoch {epoch + 1}, step {step + 1}"


def find_resumable(settings: Settings, origins: Mapping[str, str], resume: str) -> Resumable | None:
    """The run that `--resume` means.

    Args:
        settings: As resolved from the command.
        origins: Layer of each key; what only a preset or a default says was not asked for, and the run's value stays.
        resume: Name or folder of a run, or `auto`: the newest unfinished run of the data set that was started with
            what is asked for, or the one that the settings name, finished or not; none if there is none.

    Raises:
        ConfigError: The named run is finished; or it, or every unfinished one, was started with another configuration.
        DataError: There is no run of that name, or it has no checkpoint.

    """
    asked = {
        key: value
        for key, value in flatten(settings).items()
        if not origins.get(key, "default").startswith(("default", "preset", "recipe")) and key != "dataset"
    }
    if asked.get("precision") == "auto":
        del asked["precision"]  # what the run had is one of those that it allows
    if resume == AUTO:
        return _newest(settings, asked)
    run = find_run(settings.runs_dir, settings.dataset, resume)
    if run.finished:
        raise ConfigError(f"{run.name} is finished", todo=f"svipctl eval {settings.dataset} --run {run.name}")
    if not run.has_checkpoint:
        raise DataError(
            f"{run.name} has no checkpoint to resume from",
            todo=f"begin it anew: the same command with --name {run.name} --resume auto",
        )
    if not run.is_of(settings.dataset):
        raise ConfigError(
            f"{run.name} was started on another folder of that name",
            why=str(run.environment().get(FOLDER)),
            todo=f"svipctl train {run.environment().get(FOLDER)} --resume {run.name}",
        )
    return _going_on(run, settings, asked)


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
        if key not in FREE and had.get(key) != value
    ]


def _newest(settings: Settings, asked: Mapping[str, Any]) -> Resumable | None:
    runs = [run for run in list_runs(settings.runs_dir, settings.dataset) if run.has_checkpoint]
    runs = [run for run in reversed(runs) if run.is_of(settings.dataset)]
    if settings.name:
        runs = [run for run in runs if run.name == settings.name]
    else:
        runs = [run for run in runs if not run.finished]
    for run in runs:
        if not differences(_as_started(run), asked):
            return _going_on(run, settings, asked)
    idle = [run for run in runs if not is_held(run.folder)]  # one that is being trained is not what is meant
    return _going_on(idle[0], settings, asked) if idle else None


def _going_on(run: Run, settings: Settings, asked: Mapping[str, Any]) -> Resumable:
    """Raise ConfigError if what is asked for would change the run's result."""
    started = _as_started(run)
    different = differences(started, asked)
    if different:
        state = "finished and was" if run.finished else "unfinished and was"
        raise ConfigError(
            f"{run.name} is {state} started with another configuration",
            why="\n".join(different),
            todo=f"leave these flags out to go on with {run.name}, or begin another: --name NEW, or no --resume",
        )
    now = _merged(started, settings)
    before, after = flatten(started), flatten(now)
    changed = (f"{key}: {after[key]}, before {before[key]}" for key in _TOLD if after[key] != before[key])
    return Resumable(run, now, tuple(changed))


def _as_started(run: Run) -> Settings:
    """The run's settings, with the arithmetic that `auto` was on the machine where it began."""
    settings = run.settings()
    had = _ARITHMETIC.get(str(run.environment().get("precision")))
    return settings.model_copy(update={"precision": had}) if had and settings.precision == "auto" else settings


def _merged(started: Settings, now: Settings) -> Settings:
    """The run's settings, with the free ones of the new command."""
    free = {key: getattr(now, key) for key in FREE if "." not in key and key != "name"}
    sections: dict[str, dict[str, Any]] = {}
    for key in FREE:
        section, _, name = key.partition(".")
        if name:
            sections.setdefault(section, {})[name] = getattr(getattr(now, section), name)
    free["dataset"] = now.dataset  # its folder may have been moved
    free |= {section: getattr(started, section).model_copy(update=values) for section, values in sections.items()}
    return started.model_copy(update=free)
