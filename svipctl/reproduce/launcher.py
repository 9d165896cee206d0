"""Start the commands of a plan, wait for them, and stop all of them; here on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from svipctl.cpu_count import processor_count
from svipctl.distributed.rendezvous import without_launcher
from svipctl.reproduce.step_state import begin
from svipctl.reproduce.table_plan import TableStep

_THREADS, _GPUS = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"


class RunningCommand(Protocol):
    """A started command; `subprocess.Popen` is one."""

    def wait(self) -> int:
        """Wait for the end; return the exit code, or minus the signal that ended the command."""

    def send_signal(self, number: int) -> None:
        """Send a signal to the command."""


class Launcher(ABC):
    """A place where the commands of a plan run.

    Args:
        jobs: Number of commands that run at once, at least 1.

    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._running: set[RunningCommand] = set()
        self._guard = threading.Lock()
        self._stopped_by = 0

    def run(self, step: TableStep, log: Path) -> int:
        """Finish a step, with its output in the log; several threads call this method.

        Returns:
            The exit code of the command, or minus the signal that ended it.

        """
        with self._guard:
            if self._stopped_by:
                return -self._stopped_by
            command = self._start(step, log)
            if command is None:
                return 0
            self._running.add(command)
        try:
            return command.wait()
        finally:
            with self._guard:
                self._running.discard(command)

    def stop(self, number: int) -> None:
        """Forward a signal to every running command, and start no more."""
        with self._guard:
            self._stopped_by = number
            for command in self._running:
                command.send_signal(number)

    @abstractmethod
    def _start(self, step: TableStep, log: Path) -> RunningCommand | None:
        """Start the command of a step; return None if nothing is left to do."""


def start_command(arguments: tuple[str, ...], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start `svipctl` with these arguments as a process that appends to the log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "svipctl", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **options,
        )


class LocalLauncher(Launcher):
    """Processes in their own sessions, so that a Ctrl-C in the terminal reaches them once, through this process.

    Each uses its share of the processors unless OMP_NUM_THREADS is set, and sees one GPU of several: the one that
    the fewest running commands use.

    Args:
        jobs: Number of commands that run at once, at least 1.
        gpus: GPUs to assign, as in CUDA_VISIBLE_DEVICES; none leaves the choice to the commands.
        lock: File descriptor that the commands inherit.

    """

    def __init__(self, jobs: int, *, gpus: Sequence[str] = (), lock: int | None = None) -> None:
        super().__init__(jobs)
        self._gpus = gpus
        self._gpu_of: dict[RunningCommand, str | None] = {}
        self._lock = () if lock is None else (lock,)
        self._environment = without_launcher(os.environ)
        if jobs > 1:
            self._environment.setdefault(_THREADS, str(max(1, processor_count() // jobs)))

    def _start(self, step: TableStep, log: Path) -> subprocess.Popen[bytes] | None:
        arguments = begin(step)
        if arguments is None:
            return None
        environment, gpu = self._environment, self._least_used()
        if gpu is not None:
            environment = environment | {_GPUS: gpu}
        command = start_command(arguments, log, env=environment, start_new_session=True, pass_fds=self._lock)
        self._gpu_of[command] = gpu
        return command

    def _least_used(self) -> str | None:
        used = [self._gpu_of[command] for command in self._running]
        return min(self._gpus, key=used.count, default=None)
