"""Which run to go on with, and whether the configuration asked for is the one it was started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from svipctl.datasets.identity import FOLDER
from svipctl.errors import ConfigError, DataError
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
_ARITHMETIC = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Resumable:
    """An unfinished run and the settings it goes on with."""

    run: Run
    settings: Settings

    @property
    def position(self) -> str:
        """Where it stands, as a person counts."""
        epoch, step = read_position(self.run.last)
        return f"at epoch {epoch + 1}, step {step + 1}"


def find_resumable(settings: Settings, origins: Mapping[str, str], resume: str) -> Resumable | None:
    """The run that `--resume` means.

    Args:
        settings: As resolved from the command.
        origins: Layer of each key; what only a preset or a default says was not asked for, and the run's value stays.
        resume: Name or folder of a run, or `auto`: the newest unfinished run of the data set that was started with
            what is asked for; none if there is no such run.

    Raises:
        ConfigError: The named run is finished, or was started with another configuration.
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
            todo=f"begin it anew: svipctl train {settings.dataset} --name {run.name} --resume auto",
        )
    if not run.is_of(settings.dataset):
        raise ConfigError(
            f"{run.name} was started on another folder of that name",
            why=str(run.environment().get(FOLDER)),
            todo=f"svipctl train {run.environment().get(FOLDER)} --resume {run.name}",
        )
    started = _as_started(run)
    different = differences(started, asked)
    if different:
        raise ConfigError(
            f"{run.name} was started with another configuration",
            why="\n".join(different),
            todo="leave these flags out to go on, or train a new run without --resume",
        )
    return Resumable(run, _merged(started, settings))


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
    for run in reversed(list_runs(settings.runs_dir, settings.dataset)):
        if run.finished or not run.has_checkpoint or settings.name not in ("", run.name):
            continue
        if not run.is_of(settings.dataset):
            continue
        started = _as_started(run)
        if not differences(started, asked):
            return Resumable(run, _merged(started, settings))
    return None


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
