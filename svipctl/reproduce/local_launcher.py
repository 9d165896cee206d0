"""Commands as processes of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from svipctl.processors import processor_count
from svipctl.reproduce.launcher import Launcher, start_command
from svipctl.reproduce.step_state import begin
from svipctl.reproduce.table_plan import TableStep

_THREADS = "OMP_NUM_THREADS"


class LocalLauncher(Launcher):
    """Processes in sessions of their own, so that a Ctrl-C in the terminal reaches them once, through us.

    Each gets its share of the processors unless OMP_NUM_THREADS says otherwise.

    Args:
        jobs: How many run at once, at least 1.
        lock: A descriptor that the commands inherit.
        environment: Of the commands; this process's by default.

    """

    def __init__(self, jobs: int, *, lock: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(jobs)
        self._lock = () if lock is None else (lock,)
        self._environment = dict(os.environ if environment is None else environment)
        if jobs > 1:
            self._environment.setdefault(_THREADS, str(max(1, processor_count() // jobs)))

    def _start(self, step: TableStep, log: Path) -> subprocess.Popen[bytes] | None:
        arguments = begin(step)
        if arguments is None:
            return None
        return start_command(arguments, log, env=self._environment, start_new_session=True, pass_fds=self._lock)
