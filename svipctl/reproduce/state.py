"""What of a plan is done: by name and by equal configuration, read from the folders of runs."""

from __future__ import annotations

import shutil
from enum import Enum

from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError
from svipctl.files import is_locked
from svipctl.reproduce.plan import Plan, Step
from svipctl.runs.run import Run
from svipctl.settings.layers import flatten
from svipctl.settings.schema import Settings
from svipctl.training.resume import differences

_OF_TRAINING = ("optim.", "train.", "method.", "recipe")


class State(Enum):
    """Of a step."""

    TO_DO = "to do"
    UNFINISHED = "unfinished"
    """A training with a checkpoint: it is resumed."""
    STALE = "begun"
    """A folder without anything to go on with: it is removed and begun anew."""
    DONE = "done"


def run_of(step: Step) -> Run:
    """The folder of a step's run."""
    return Run(step.settings.runs_dir / dataset_name(step.settings.dataset) / step.run)


def state_of(step: Step) -> State:
    """What the folder says. Whether it is of the same configuration, `check_configurations` tells."""
    run = run_of(step)
    if step.kind == "evaluation":
        return State.DONE if _is_evaluated(run, step.settings) else State.TO_DO
    if step.kind == "baseline":
        if (run.folder / "eval" / "metrics.json").exists():
            return State.DONE
        return State.STALE if run.folder.exists() else State.TO_DO
    if run.finished:
        return State.DONE
    if run.has_checkpoint:
        return State.UNFINISHED
    return State.STALE if run.folder.exists() else State.TO_DO


def _is_evaluated(run: Run, wanted: Settings) -> bool:
    """Whether the figures are those of the finished run, and not of an epoch at which somebody looked at it before; and made
    as the table makes them.
    """
    finished, figures = run.read_json("finished.json"), run.read_json("eval/metrics.json")
    if finished is None or figures is None or figures.get("epoch") != finished.get("best_epoch"):
        return False
    asked: dict[str, object] = {"bootstrap": wanted.eval.bootstrap, "selection": wanted.eval.selection}
    if wanted.precision != "auto":
        asked["precision"] = wanted.precision
    made = figures.get("settings", asked)  # an earlier version did not say
    return all(made.get(key) == value for key, value in asked.items())


def continued(step: Step, state: State) -> tuple[str, ...]:
    """What follows `svipctl` to do what is left of a step in that state."""
    return (*step.arguments, "--resume", step.run) if state is State.UNFINISHED else step.arguments


def begin(step: Step) -> tuple[str, ...] | None:
    """The same, None when it is done; a folder that was left without anything to go on with is removed.

    Raises:
        ConfigError: Another process is at work in it.

    """
    state = state_of(step)
    if state is State.DONE:
        return None
    if is_locked(run_of(step).folder):
        raise ConfigError(
            f"{step.run} is being trained by another process",
            todo="wait for it and run the same command again, or stop it",
        )
    if state is State.STALE:
        shutil.rmtree(run_of(step).folder)
    return continued(step, state)


def states(plan: Plan) -> dict[str, State]:
    """Step key -> state.

    Raises:
        ConfigError: A folder of that name is of another configuration; every such folder is named.

    """
    check_configurations(plan)
    return {step.key: state_of(step) for step in plan.steps}


def check_configurations(plan: Plan) -> None:
    """Raise ConfigError naming what differs, unless every run that is there was started as the plan would start it."""
    problems = []
    for step in plan.steps:
        run = run_of(step)
        if step.kind != "evaluation" and (run.folder / "config.toml").exists():
            problems += [f"{step.run}: {problem}" for problem in _differences(step, run)]
    if problems:
        shown = problems[:20] + ([f"and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise ConfigError(
            "runs of these names are there with another configuration",
            why="\n".join(shown),
            todo="give the flags they were made with, or another --name or --runs-dir for a table of its own",
        )


def _differences(step: Step, run: Run) -> list[str]:
    asked = flatten(step.settings)
    if step.kind == "baseline":  # how a network would be trained is nothing to it
        asked = {key: value for key, value in asked.items() if not key.startswith(_OF_TRAINING)}
    if step.kind == "final" and run.settings().train.monitor == "validation":
        asked.pop("train.monitor")  # without a fold it looks at as much as `none` does: nothing
    found = differences(run.settings(), asked)
    if step.kind == "baseline":
        had = run.read_json("baseline.json")
        folds = [int(word) for flag, word in zip(step.arguments, step.arguments[1:]) if flag == "--fold"]
        if had and had["folds"] != folds:
            found.append(f"folds: {had['folds']} in the run, {folds} now")
    if step.kind == "final":
        wanted = [need.removeprefix("train ") for need in step.needs]
        development = run.development()
        names = [one["run"] for one in development["runs"]] if development else []
        if names != wanted:
            found.append(f"development runs: {names} in the run, {wanted} now")
    return found
