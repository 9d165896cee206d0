"""Being told to stop: Slurm's SIGTERM and SIGUSR1, the SIGUSR2 that submitit asks of Slurm, and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from svipctl.errors import Interrupted, InterruptedByHand

_ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_SIGNALS = (*_ENDING, signal.SIGINT)


class Signalled(KeyboardInterrupt):
    """SIGTERM, SIGUSR1 or SIGUSR2, raised wherever the program stands, as Python raises Ctrl-C.

    Attributes:
        received: The signal.

    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.received = signal.Signals(number)


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

    def raise_if_asked(self, todo: str = "run the same command again", *, why: str = "") -> None:
        """End the work in progress by Interrupted, which says what is kept and how to go on."""
        if self.received is signal.SIGINT:
            raise InterruptedByHand("stopped by Ctrl-C", why=why, todo=todo)
        if self.received is not None:
            raise Interrupted(f"stopped by {self.received.name}", why=why, todo=todo)


@contextmanager
def raising() -> Iterator[None]:
    """Raise `Signalled` for the signals that would end the process without a word; those of `listening` are noted all the same."""

    def tell(number: int, frame: FrameType | None) -> None:
        raise Signalled(number)

    with handled(_ENDING, tell):
        yield


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

    with handled(_SIGNALS, note):
        yield stop


@contextmanager
def handled(numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call a handler for these signals; nothing changes in another thread than the program's main one."""
    try:
        before = {number: signal.signal(number, handler) for number in numbers}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
