"""Determine the state of each step of a plan from the folders of its runs."""

from __future__ import annotations

import shutil
from enum import Enum
from pathlib import Path

from svipctl.datasets.identity import TABLE, identity_of
from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError, shortened
from svipctl.files import is_locked
from svipctl.reproduce.table_plan import OF_TRAINING, TablePlan, TableStep
from svipctl.runs.folder import is_run
from svipctl.runs.run import Run
from svipctl.settings.keys import flatten
from svipctl.settings.schema import Settings
from svipctl.training.resume import differences


class StepState(Enum):
    """State of a step."""

    TO_DO = "to do"
    UNFINISHED = "unfinished"
    """Training with a checkpoint, which is resumed."""
    STALE = "begun"
    """Folder without a checkpoint, which is removed before the step starts again."""
    DONE = "done"


def runs_folder(settings: Settings) -> Path:
    """Return the folder of all runs of the data set."""
    return settings.runs_dir / dataset_name(settings.dataset)


def run_of(step: TableStep) -> Run:
    """Return the run that a step trains, evaluates or fits."""
    return Run(runs_folder(step.settings) / step.run)


def state_of(step: TableStep) -> StepState:
    """Return the state of a step; `check_configurations` compares the run's configuration with the step's."""
    run = run_of(step)
    if step.kind == "evaluation":
        return StepState.DONE if _is_evaluated(run, step.settings) else StepState.TO_DO
    if (run.folder / "eval" / "metrics.json").exists() if step.kind == "baseline" else run.finished:
        return StepState.DONE
    if run.has_checkpoint:
        return StepState.UNFINISHED
    return StepState.STALE if run.folder.exists() else StepState.TO_DO


def _is_evaluated(run: Run, wanted: Settings) -> bool:
    """Return True if the results are of the finished run, not of an earlier epoch, with the table's settings."""
    finished, figures = run.finished_document(), run.evaluation()
    if finished is None or figures is None or figures.epoch != finished.best_epoch:
        return False
    asked: dict[str, object] = {"bootstrap": wanted.eval.bootstrap, "selection": wanted.eval.selection}
    if wanted.precision != "auto":
        asked["precision"] = wanted.precision
    used = asked if figures.settings is None else figures.settings  # an earlier version did not record them
    return all(used.get(key) == value for key, value in asked.items())


def remaining_arguments(step: TableStep, state: StepState) -> tuple[str, ...]:
    """Return the arguments of `svipctl` that finish a step in the given state."""
    return (*step.arguments, "--resume", step.run) if state is StepState.UNFINISHED else step.arguments


def begin(step: TableStep) -> tuple[str, ...] | None:
    """Return the arguments that finish a step, None if it is done; remove a folder without a checkpoint.

    Raises:
        ConfigError: Another process is using the folder.

    """
    state, folder = state_of(step), run_of(step).folder
    if state is StepState.DONE:
        return None
    if is_locked(folder):
        raise ConfigError(
            f"{step.run} is being trained by another process",
            todo="wait for it and run the same command again, or stop it",
        )
    if state is StepState.STALE:
        shutil.rmtree(folder)
    return remaining_arguments(step, state)


def states(plan: TablePlan) -> dict[str, StepState]:
    """Return the state of each step, by key.

    Raises:
        ConfigError: A run was started with another configuration; every such run is named.

    """
    check_configurations(plan)
    return {step.key: state_of(step) for step in plan.steps}


def check_configurations(plan: TablePlan) -> None:
    """Raise ConfigError with all differences if a run was started with another configuration than the plan's, or with
    another attributes.csv.
    """
    problems = [
        f"{step.run}: {difference}"
        for step in plan.steps
        if step.kind != "evaluation" and is_run(run_of(step).folder)
        for difference in _differences(step, plan.request.folds)
    ]
    if problems:
        raise ConfigError(
            "runs of these names exist with another configuration or data set",
            why=shortened(problems, 20, "\n"),
            todo="use the flags and the data set that they were made with, or another --name or --runs-dir",
        )


def _differences(step: TableStep, folds: int) -> list[str]:
    run = run_of(step)
    started, asked = run.settings(), flatten(step.settings)
    if step.kind == "baseline":
        asked = {key: value for key, value in asked.items() if not key.startswith(OF_TRAINING)}
    if step.kind == "final" and started.train.monitor == "validation":
        asked.pop("train.monitor")  # a final run has no validation images: this is the same as `none`
    found = differences(started, asked)
    before, now = run.environment().get(TABLE), identity_of(step.settings.dataset).get(TABLE)
    if before and before != now:
        found.append(f"attributes.csv: SHA-256 {before[:12]} in the run, {now[:12] if now else 'unknown'} now")
    if step.kind == "baseline" and (fitted := run.baseline()):
        wanted = list(range(1, folds + 1))
        if fitted.folds != wanted:
            found.append(f"folds: {fitted.folds} in the run, {wanted} now")
    if step.kind == "final":
        wanted_runs = [need.removeprefix("train ") for need in step.needs]
        development = run.development()
        used = [one.run for one in development.runs] if development else []
        if used != wanted_runs:
            found.append(f"development runs: {used} in the run, {wanted_runs} now")
    return found
