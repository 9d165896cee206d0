"""What the two launchers share: starting commands, waiting for them, and stopping all of them."""

from __future__ import annotations

import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

from svipctl.reproduce.table_plan import TableStep

Handle = TypeVar("Handle")


class Launcher(ABC, Generic[Handle]):
    """A place where the commands of a plan run.

    Args:
        jobs: How many run at once, at least 1.

    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._running: set[Handle] = set()
        self._guard = threading.Lock()
        self._stopped_by = 0

    def run(self, step: TableStep, log: Path) -> int:
        """Finish a step, its output into the log; several threads call this.

        Returns:
            The exit code of the command, or minus the signal that ended it.

        """
        with self._guard:
            if self._stopped_by:
                return -self._stopped_by
            handle = self._start(step, log)
            if handle is None:
                return 0
            self._running.add(handle)
        try:
            return self._wait(handle, log)
        finally:
            with self._guard:
                self._running.discard(handle)

    def stop(self, number: int) -> None:
        """Forward a signal to every running command, and start no more."""
        with self._guard:
            self._stopped_by = number
            for handle in self._running:
                self._signal(handle, number)

    @abstractmethod
    def _start(self, step: TableStep, log: Path) -> Handle | None:
        """Start the command of a step; return None if nothing is left of it."""

    @abstractmethod
    def _wait(self, handle: Handle, log: Path) -> int:
        """Wait for a command and return its exit code."""

    @abstractmethod
    def _signal(self, handle: Handle, number: int) -> None:
        """Send a signal to a command."""


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
