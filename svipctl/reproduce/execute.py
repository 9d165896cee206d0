"""Run a plan: skip finished steps, resume unfinished ones, and continue after failures."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from svipctl.errors import ExitCode, SvipError, explained_disk_errors
from svipctl.files import file_lock
from svipctl.pace import duration
from svipctl.reproduce.launcher import Launcher
from svipctl.reproduce.step_state import StepState, remaining_arguments, run_of, state_of, states
from svipctl.reproduce.table_plan import StepKind, TablePlan, TableStep
from svipctl.signals import Stop
from svipctl.training.dry_run import plan_training

_POLL = 0.5  # seconds between two checks of the stop signal
_SIMILAR: dict[StepKind, StepKind] = {"development": "final", "final": "development"}
"""Kinds of steps that take about the same time."""


@dataclass(frozen=True)
class StepResult:
    """Result of a step."""

    step: TableStep
    code: int
    """Exit code of its command; -1 if it was not run because a step that it needs failed."""
    seconds: float
    log: Path | None
    """The file with its output."""
    resumed: bool = False
    """True if an earlier command had done a part of the step."""

    @property
    def failed(self) -> bool:
        """True if the step is not done."""
        return self.code != ExitCode.DONE

    @property
    def failure(self) -> str:
        """Exit code, log and last error of a failed step."""
        if self.log is None:
            return f"{self.step.key}: not run, because what it needs failed"
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        lines = text.strip().splitlines()
        error = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
        return f"{self.step.key}: exit code {self.code}, see {self.log}" + (f": {error}" if error else "")


def execute(
    plan: TablePlan,
    launcher: Launcher,
    logs: Path,
    note: Callable[[str], None],
    stop: Stop | None = None,
    *,
    on_figures: Callable[[], object] = lambda: None,
) -> list[StepResult]:
    """Run the steps of a plan that are left.

    Args:
        plan: The plan.
        launcher: Launcher of the commands.
        logs: Folder for the logs, one file per run.
        note: Receives a line when a command starts, and one when it ends or is not run.
        stop: When it is set, running commands receive the signal and no further command starts.
        on_figures: Called after each evaluation and baseline.

    Returns:
        The steps that failed, and those that were not run because of them.

    Raises:
        ConfigError: A run was started with another configuration.
        Interrupted: `stop` was set, and all running commands have saved their state.

    """
    stop = Stop() if stop is None else stop
    waiting = [step for step, _ in _left(plan)]
    done = {step.key for step in plan.steps} - {step.key for step in waiting}
    failed: dict[str, StepResult] = {}
    measured: defaultdict[StepKind, list[float]] = defaultdict(list)
    with explained_disk_errors(str(logs)):
        logs.mkdir(parents=True, exist_ok=True)

    def record(result: StepResult) -> None:
        step = result.step
        if result.failed:
            failed[step.key] = result
        else:
            done.add(step.key)
            if not result.resumed:
                measured[step.kind].append(result.seconds)
        left = [one.kind for one in plan.steps if one.key not in done and one.key not in failed]
        seconds_left = remaining_seconds(left, measured, launcher.jobs)
        outcome = f"failed: {result.failure}" if result.failed else f"done in {duration(result.seconds)}"
        rest = f"  about {duration(seconds_left)} left" if seconds_left else ""
        note(f"[{len(plan.steps) - len(left)}/{len(plan.steps)}] {step.kind} {step.run}: {outcome}{rest}")
        if step.kind in ("evaluation", "baseline") and not result.failed:
            on_figures()

    with ThreadPoolExecutor(launcher.jobs) as pool, _stopping_all(launcher):
        running: set[Future[StepResult]] = set()
        forwarded = False
        while running or (waiting and not stop):
            for step in [step for step in waiting if not failed.keys().isdisjoint(step.needs)]:
                waiting.remove(step)
                record(StepResult(step, -1, 0.0, None))
            ready = [step for step in waiting if done.issuperset(step.needs)]
            for step in [] if stop else ready[: launcher.jobs - len(running)]:
                waiting.remove(step)
                resumed = state_of(step) is StepState.UNFINISHED
                note(f"{'resuming' if resumed else 'starting'}: {step.kind} {step.run}")
                running.add(pool.submit(_run, launcher, step, logs / f"{step.run}.log", resumed=resumed))
            if stop and not forwarded:
                launcher.stop(stop.number)
                forwarded = True
            ended, running = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
            for result in [future.result() for future in ended]:
                if not (stop and result.failed):
                    record(result)
    stop.raise_if_asked()
    return list(failed.values())


def remaining_seconds(
    left: Iterable[StepKind], measured: Mapping[StepKind, Sequence[float]], jobs: int
) -> float | None:
    """Return the time until the last step ends, None until a step of each kind that is left was measured.

    Args:
        left: Kind of each step that has not ended.
        measured: Seconds of the steps that ended and were neither failed nor resumed, by kind.
        jobs: Number of commands that run at once.

    """
    total = 0.0
    for kind in left:
        known = measured.get(kind) or measured.get(_SIMILAR.get(kind, kind))
        if not known:
            return None
        total += fmean(known)
    return total / jobs


@contextmanager
def _stopping_all(launcher: Launcher) -> Iterator[None]:
    """Stop the running commands after any exception, instead of waiting hours for them."""
    try:
        yield
    except BaseException as error:
        # A second Ctrl-C stops them at once too.
        launcher.stop(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
        raise


def left_to_do(plan: TablePlan) -> list[tuple[str, ...]]:
    """Return the arguments of each command that is left, in order, resuming unfinished steps.

    Raises:
        ConfigError: A run was started with another configuration.

    """
    return [remaining_arguments(step, state) for step, state in _left(plan)]


def required_resources(plan: TablePlan, jobs: int) -> dict[str, int]:
    """Return the needed resources: `disk_mib` for the checkpoints of all trainings that are left, and `memory_mib`
    for the networks of those that
    run at once; empty if none is left.

    Raises:
        SvipError: As `plan_training`.

    """
    trainings = [step for step, _ in _left(plan) if step.kind in ("development", "final")]
    if not trainings:
        return {}
    one = plan_training(trainings[0].settings, run_of(trainings[0]))
    return {"disk_mib": len(trainings) * one["disk_mib"], "memory_mib": min(jobs, len(trainings)) * one["memory_mib"]}


def _left(plan: TablePlan) -> list[tuple[TableStep, StepState]]:
    found = states(plan)
    return [(step, found[step.key]) for step in plan.steps if found[step.key] is not StepState.DONE]


@contextmanager
def one_at_a_time(folder: Path, on_wait: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock on a folder of runs, waiting for it if needed; yield its descriptor.

    Commands inherit the lock: if only `reproduce` is killed, its last commands still hold it until they end, so
    that no two processes write the same run.
    """
    lock = folder / ".reproduce.lock"
    with explained_disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    message = f"waiting: another `svipctl reproduce`, or a command that it left running, is using {folder}"
    with file_lock(lock, on_wait=lambda: on_wait(message)) as descriptor:
        yield descriptor


def _run(launcher: Launcher, step: TableStep, log: Path, *, resumed: bool) -> StepResult:
    started = time.monotonic()
    try:
        code = launcher.run(step, log)
    except SvipError as error:  # the error of this step alone: the others continue
        log.write_text(f"error: {error}\n", encoding="utf-8", errors="surrogateescape")
        code = error.exit_code
    return StepResult(step, code, time.monotonic() - started, log, resumed)
