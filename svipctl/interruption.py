"""Being told to stop: Slurm's SIGTERM and SIGUSR1, and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from svipctl.errors import Interrupted, InterruptedByHand

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stop:
    """Whether a signal has asked to stop.

    Attributes:
        received: The signal that was heard last, or None.

    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.received is not None

    @property
    def number(self) -> int:
        """Of the signal; 0 without one."""
        return int(self.received or 0)

    def hear(self, number: int) -> bool:
        """Some process of the run has received this signal; 0 is none. Returns whether there was one."""
        if number and self.received is None:
            self.received = signal.Signals(number)
        return number > 0

    def raise_if_asked(self, todo: str = "run the same command with --resume") -> None:
        """End the work in progress by Interrupted, which says how to go on."""
        if self.received is signal.SIGINT:
            raise InterruptedByHand("stopped by Ctrl-C", todo=todo)
        if self.received is not None:
            raise Interrupted(f"stopped by {self.received.name}", todo=todo)


@contextmanager
def listening() -> Iterator[Stop]:
    """Note the signals instead of dying of them; a second Ctrl-C stops at once.

    Only a program's main thread can listen; elsewhere the signals keep their meaning.
    """
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.received is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.received = signal.Signals(number)

    try:
        before = {number: signal.signal(number, note) for number in _SIGNALS}
    except ValueError:  # not the main thread
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
