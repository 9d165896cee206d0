"""Commands as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from svipctl.reproduce.plan import Step
from svipctl.reproduce.state import begin

_THREADS = "OMP_NUM_THREADS"


class LocalLauncher:
    """Runs `python -m svipctl` in sessions of their own, so that a Ctrl-C at the terminal reaches them once, through us."""

    def __init__(self, jobs: int, *, lock: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        """At most `jobs` at once, each with its share of the processors unless OMP_NUM_THREADS says otherwise.

        Args:
            jobs: At least 1.
            lock: A descriptor that the commands inherit.
            environment: Of the commands; this process's by default.

        """
        self.jobs = jobs
        self._lock = () if lock is None else (lock,)
        self._environment = dict(os.environ if environment is None else environment)
        if jobs > 1:
            self._environment.setdefault(_THREADS, str(max(1, processors() // jobs)))
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._told = 0

    def run(self, step: Step, log: Path) -> int:
        """Run what is left of a step to its end; the exit code, or minus the signal that ended it."""
        arguments = begin(step)
        if arguments is None:
            return 0
        with log.open("ab") as output:
            with self._guard:
                if self._told:
                    return -self._told
                process = subprocess.Popen(
                    [sys.executable, "-m", "svipctl", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                    pass_fds=self._lock,
                )
                self._running.add(process)
            try:
                return process.wait()
            finally:
                with self._guard:
                    self._running.discard(process)

    def stop(self, number: int) -> None:
        """Send a signal to every running command, and begin no more."""
        with self._guard:
            self._told = number
            for process in self._running:
                process.send_signal(number)


def processors() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
