"""Send signals at chosen moments of a command: at the n-th event that Python itself reports by audit events.

They are independent of the tested code, and need no clock.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
from pathlib import Path


class Moments:
    """Moments of a command, counted in a file that processes share."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_bytes(bytes(8))

    @property
    def count(self) -> int:
        """Moments of the last command that was run."""
        return int.from_bytes(self.file.read_bytes(), "little")

    def counted(self) -> None:
        """In the process of the command: count its moments from now on."""
        self._listen(0, signal.SIGTERM)

    def signalled(self, moment: int, number: signal.Signals) -> None:
        """In the process of the command: send it a signal at one of its moments, counted from 1."""
        self._listen(moment, number)

    def _listen(self, moment: int, number: signal.Signals) -> None:
        with self.file.open("r+b") as file:
            shared = mmap.mmap(file.fileno(), 8)
        process, passed = os.getpid(), 0

        def hear(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal passed
            is_worker = os.getpid() != process
            if (
                is_worker or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            ):  # nor before the program handles signals
                return
            passed += 1
            shared[:] = passed.to_bytes(8, "little")
            if passed == moment:
                os.kill(process, number)

        sys.addaudithook(hear)
