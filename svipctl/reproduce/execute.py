"""Running a plan: what is done is skipped, what is unfinished is resumed, and one failure does not lose the others."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from svipctl.datasets.names import dataset_name
from svipctl.errors import ExitCode, SvipError, explained_disk_errors
from svipctl.files import file_lock
from svipctl.reproduce.plan import Plan, Step
from svipctl.reproduce.state import State, continued, state_of, states
from svipctl.signals import Stop

_LOOK = 0.5  # seconds between two looks at whether to stop


@dataclass(frozen=True)
class Ended:
    """How a step ended."""

    step: Step
    code: int
    """Exit code of its command; -1 when it was not run because one that it needs failed."""
    seconds: float
    log: Path | None
    """Where its output is."""

    @property
    def failed(self) -> bool:
        """Whether it did not do what it was for."""
        return self.code != ExitCode.DONE


class Launcher(Protocol):
    """Where commands run."""

    jobs: int
    """How many at once."""

    def run(self, step: Step, log: Path) -> int:
        """Do what is left of a step, its output into the log, and return the exit code. Called in threads."""

    def stop(self, number: int) -> None:
        """Hand a signal on to all that runs; `run` returns when it has been obeyed."""


class Watcher(Protocol):
    """Told of what happens."""

    def started(self, step: Step, *, resumed: bool) -> None:
        """A command begins."""

    def ended(self, ended: Ended, done: int, total: int) -> None:
        """A command has ended, or was not run."""


def execute(plan: Plan, launcher: Launcher, logs: Path, watcher: Watcher, stop: Stop | None = None) -> list[Ended]:
    """Run what is left of a plan.

    Args:
        plan: What to run.
        launcher: Where.
        logs: Folder of one log a step.
        watcher: Told of every step.
        stop: When it asks, running commands are told, and nothing new begins.

    Returns:
        The steps that failed, and those that were not run because of them.

    Raises:
        ConfigError: A run is there with another configuration.
        Interrupted: `stop` asked for it, and everything that ran has saved its state.

    """
    stop = Stop() if stop is None else stop
    found = states(plan)
    done = {key for key, state in found.items() if state is State.DONE}
    waiting = [step for step in plan.steps if step.key not in done]
    failed: dict[str, Ended] = {}
    with explained_disk_errors(str(logs)):
        logs.mkdir(parents=True, exist_ok=True)

    def note(ended: Ended) -> None:
        if ended.failed:
            failed[ended.step.key] = ended
        else:
            done.add(ended.step.key)
        watcher.ended(ended, len(done) + len(failed), len(plan.steps))

    with ThreadPoolExecutor(launcher.jobs) as pool, _ending_all(launcher):
        running: dict[Future[Ended], Step] = {}
        told = False
        while waiting or running:
            for step in [step for step in waiting if any(need in failed for need in step.needs)]:
                waiting.remove(step)
                note(Ended(step, -1, 0.0, None))
            ready = [step for step in waiting if all(need in done for need in step.needs)]
            for step in [] if stop else ready[: launcher.jobs - len(running)]:
                waiting.remove(step)
                watcher.started(step, resumed=state_of(step) is State.UNFINISHED)
                running[pool.submit(_run, launcher, step, logs / f"{step.run}.log")] = step
            if stop and not told:
                launcher.stop(stop.number)
                told = True
            if not running:
                if stop:
                    break
                continue
            for future in wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED).done:
                del running[future]
                ended = future.result()
                if not (stop and ended.failed):
                    note(ended)
    stop.raise_if_asked()
    return list(failed.values())


@contextmanager
def _ending_all(launcher: Launcher) -> Iterator[None]:
    """Whatever goes wrong here, the commands that run are told: else they would be waited for, for hours."""
    try:
        yield
    except KeyboardInterrupt:
        launcher.stop(signal.SIGINT)  # the second one: they stop at once too
        raise
    except BaseException:
        launcher.stop(signal.SIGTERM)
        raise


def left_to_do(plan: Plan) -> list[tuple[str, ...]]:
    """The arguments of each command that is left, in order, resuming what is unfinished.

    Raises:
        ConfigError: A run is there with another configuration.

    """
    found = states(plan)
    return [continued(step, found[step.key]) for step in plan.steps if found[step.key] is not State.DONE]


@contextmanager
def one_at_a_time(runs_dir: Path, dataset: str, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock on a data set's folder of runs, waiting for it if need be; gives its descriptor.

    Commands inherit it: after a `reproduce` that was killed alone, its last commands still hold it until they end, and
    nothing writes a run beside them.
    """
    folder = runs_dir / dataset_name(dataset)
    with explained_disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".reproduce.lock").touch()
    waiting = f"waiting: another `svipctl reproduce`, or a command it has left running, is at work in {folder}"
    with file_lock(folder / ".reproduce.lock", on_wait=lambda: say(waiting)) as descriptor:
        yield descriptor


def _run(launcher: Launcher, step: Step, log: Path) -> Ended:
    started = time.monotonic()
    try:
        code = launcher.run(step, log)
    except SvipError as error:  # this step's alone; the others go on
        log.write_text(f"error: {error}\n", encoding="utf-8", errors="surrogateescape")
        code = error.exit_code
    return Ended(step, code, time.monotonic() - started, log)
