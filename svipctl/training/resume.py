"""Find the run to resume, and check that the requested configuration is the one that it was started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.identity import FOLDER
from svipctl.errors import ConfigError, DataError
from svipctl.files import is_locked
from svipctl.quoting import shell_command, shell_words
from svipctl.runs.folder import RunFile
from svipctl.runs.lookup import find_run, is_row_of_table, list_runs, name_of
from svipctl.runs.manifest import is_expected
from svipctl.runs.run import Run
from svipctl.settings.keys import WHERE_AND_HOW, flatten, nested
from svipctl.settings.schema import Settings

AUTO = "auto"
# For these settings, the run's value applies unless another is requested: without it the run may not fit in memory.
_KEPT = ("train.accumulate", "train.checkpointing", "train.compile")
_ARITHMETIC = {"float32": "fp32", "bfloat16": "bf16"}


class Resumable(NamedTuple):
    """A run and the settings that it continues with; for a finished run nothing is left to do."""

    run: Run
    settings: Settings
    changed: list[str]
    """Settings that differ from those at the start; the result is the same to rounding."""


def find_resumable(
    settings: Settings, origins: Mapping[str, str], resume: str, *, final: bool = False
) -> Resumable | None:
    """Return the run that `--resume` selects.

    Args:
        settings: Settings of the command.
        origins: Layer of each key; values of presets and defaults were not requested, and the run's value is kept.
        resume: Name or folder of a run, or `auto`: the newest unfinished run of the data set that was started with
            the requested settings, or the run that the settings name, finished or not; none if there is none.
        final: True if a run without a fold is requested.

    Raises:
        ConfigError: The run of that name is finished, or was started with another configuration; or with `auto` every
            unfinished one of the same recipe, seed and fold was.
        DataError: The run does not exist, or has no checkpoint.

    """
    requested = {
        key: value
        for key, value in flatten(settings).items()
        if not origins.get(key, "default").startswith(("default", "preset", "recipe")) and key != "dataset"
    }
    if final:
        requested["train.fold"] = None
    if requested.get("precision") == "auto":
        del requested["precision"]  # the run's value is one of those that the request allows
    if resume == AUTO:
        return _newest(settings, requested)
    run = find_run(settings.runs_dir, settings.dataset, resume)
    if run.finished:
        raise ConfigError(f"{run.name} is finished", todo=shell_command("eval", settings.dataset, "--run", run.name))
    if not run.has_checkpoint:
        raise DataError(
            f"{run.name} has no checkpoint to resume from",
            todo="start it again: " + shell_command("train", settings.dataset, "--name", run.name, "--resume", "auto"),
        )
    if not run.is_of(settings.dataset):
        raise ConfigError(
            f"{run.name} was trained on another data folder of the same name",
            why=f"it was trained on {run.environment().get(FOLDER)}",
            todo=shell_command("train", run.environment().get(FOLDER), "--resume", run.name),
        )
    return _going_on(run, settings, requested, otherwise="train a new run without --resume")


def changed_images(run: Run, benchmark: Benchmark, fold: int | None) -> str:
    """Return a description of the training or validation images that changed since the run was started, "" if none
    did.
    """
    split = benchmark.split(fold)
    images = {"training": (run.training_images(), split.train)}
    if fold is not None and is_expected(run.folder, RunFile.CHOSEN_ON):  # an earlier version did not record them
        images["validation"] = (run.validation_images(), split.scored)
    for part, (before, indices) in images.items():
        now = frozenset(benchmark.files(indices))
        if before != now:
            return f"{part} images: {len(before)} in the run, {len(now)} now, and {len(before & now)} in both"
    return ""


def check_same_images(run: Run, benchmark: Benchmark, fold: int | None) -> None:
    """Raise DataError unless the run was started on the training and validation images that the data set has now."""
    if changed := changed_images(run, benchmark, fold):
        raise DataError(
            f"the images of {benchmark.name} are not those that {run.name} was started with",
            why=changed,
            todo="restore the data set, or train a new run without --resume",
        )


def differences(started: Settings, requested: Mapping[str, Any]) -> list[str]:
    """Return each requested setting that differs from the run's and would change its result."""
    had = flatten(started)
    return [
        f"{key}: {had.get(key)} in the run, {value} now"
        for key, value in sorted(requested.items())
        if key not in WHERE_AND_HOW and had.get(key) != value
    ]


def _newest(settings: Settings, requested: Mapping[str, Any]) -> Resumable | None:
    runs = [run for run in reversed(list_runs(settings.runs_dir, settings.dataset)) if run.is_of(settings.dataset)]
    if settings.name:
        named = [run for run in runs if run.name == settings.name and not run.is_baseline]
        named = [run for run in named if run.finished or run.has_checkpoint]
        return _going_on(named[0], settings, requested, otherwise="choose another --name") if named else None
    runs = [run for run in runs if run.has_checkpoint and not run.finished and not is_row_of_table(run)]
    for run in runs:
        if not differences(_as_started(run), requested):
            return _going_on(run, settings, requested)
    for run in runs:
        # Skip runs of other seeds or folds of the same experiment, and runs that are being trained.
        if name_of(run.settings()) == name_of(settings) and not is_locked(run.folder):
            return _going_on(run, settings, requested, otherwise="start another run with --name NEW")
    return None


def _going_on(run: Run, settings: Settings, requested: Mapping[str, Any], *, otherwise: str = "") -> Resumable:
    """Raise ConfigError if the requested settings would change the run's result; `otherwise` is the alternative."""
    started = _as_started(run)
    different = differences(started, requested)
    if different:
        longer = f"; {shell_words('--init-from', run.folder)} starts from its weights" if run.finished else ""
        raise ConfigError(
            f"{run.name} is {'finished' if run.finished else 'unfinished'} and was started with another configuration",
            why="\n".join(different),
            todo=f"omit these flags, or {otherwise}{longer}",
        )
    now = _merged(started, settings, requested)
    before, after = flatten(started), flatten(now)
    changed = [f"{key}: {after[key]}, before {before[key]}" for key in _KEPT if after[key] != before[key]]
    return Resumable(run, now, changed)


def _as_started(run: Run) -> Settings:
    """Return the run's settings, with the arithmetic that `auto` selected on the machine where it started."""
    settings = run.settings()
    had = _ARITHMETIC.get(str(run.environment().get("precision")))
    return settings.model_copy(update={"precision": had}) if had and settings.precision == "auto" else settings


def _merged(started: Settings, now: Settings, requested: Mapping[str, Any]) -> Settings:
    """Return the run's settings, with those of the new command that may change."""
    taken = (WHERE_AND_HOW - {"name", *_KEPT}) | {"dataset", *(key for key in _KEPT if key in requested)}
    values = {key: value for key, value in flatten(now).items() if key in taken}  # a run's folder may have been moved
    return Settings.model_validate(nested(flatten(started) | values))
