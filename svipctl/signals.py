"""Handle stop signals: Slurm's SIGTERM and SIGUSR1, submitit's SIGUSR2, the SIGHUP of a closed terminal, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from types import FrameType
from typing import Any

from svipctl.errors import Interrupted, InterruptedByHand

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
_AGAIN = 1.0
"""Seconds within which a further signal is the same request: `timeout` and terminals signal a process and its group."""

Handler = Callable[[int, FrameType | None], None]


class Signalled(KeyboardInterrupt):
    """A signal, raised as an exception wherever the program is, as Python does for Ctrl-C.

    Attributes:
        received: The signal.

    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.received = signal.Signals(number)


class Stop:
    """The request to stop; true once a signal has been received.

    Attributes:
        received: The last signal that was received, or None.

    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.received is not None

    @property
    def number(self) -> int:
        """Number of the received signal; 0 without one."""
        return int(self.received or 0)

    def record(self, number: int) -> bool:
        """Record a signal that a process of the run received (0: none); return True if there was one."""
        if number and self.received is None:
            self.received = signal.Signals(number)
        return number > 0

    def raise_if_asked(self, todo: str = "run the same command again", *, why: str = "") -> None:
        """Raise Interrupted if a signal was received; its message says what is saved and how to continue."""
        if self.received is signal.SIGINT:
            raise InterruptedByHand("stopped by Ctrl-C", why=why, todo=todo)
        if self.received is not None:
            raise Interrupted(f"stopped by {self.received.name}", why=why, todo=todo)


def raise_signals() -> Stop:
    """Raise `Signalled` for every signal from now on, except within `listening`, which records them.

    Call it first. An exception that is lost in a destructor, where Python only prints it, is raised again
    a moment later.

    Returns:
        The received signal, for a caller that catches another exception which the signal caused.

    """
    stop, last = Stop(), [-_AGAIN]

    def raise_signal(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - last[0] >= _AGAIN:
            last[0], stop.received = now, signal.Signals(number)
            raise Signalled(number)

    def raise_later(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Signalled):
            sys.__unraisablehook__(lost)
            return
        again = Timer(_AGAIN, os.kill, (os.getpid(), lost.exc_value.received))
        again.daemon = True
        again.start()

    _handle(SIGNALS, raise_signal)
    sys.unraisablehook = raise_later
    return stop


def end_on_signals(code: int) -> None:
    """End the process with an exit code on any signal from now on; use it when all work is done and written."""
    _handle(SIGNALS, lambda number, frame: os._exit(code))


def ignore_signals() -> None:
    """Ignore all signals, in a process that ends with another one."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def listening() -> Iterator[Stop]:
    """Record signals instead of ending on them; a second Ctrl-C stops at once.

    Only a program's main thread can record signals; in other threads nothing changes.
    """
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.received is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.received = signal.Signals(number)

    with handled(SIGNALS, note):
        yield stop


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer signals during a short piece of work that must not be interrupted.

    A process that starts within the block inherits them blocked, until it has set its own handlers.
    """
    waiting: list[int] = []
    try:
        # The system delivers a blocked signal to another thread, and Python runs its handler in the main one.
        with handled(SIGNALS, lambda number, frame: waiting.append(number)):
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                yield
            finally:
                # Before the handlers: one that raises must not leave the signals blocked.
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        for number in waiting:
            os.kill(os.getpid(), number)


@contextmanager
def handled(numbers: Sequence[signal.Signals], handler: Handler) -> Iterator[None]:
    """Call a handler for these signals; in other threads than the main one nothing changes."""
    try:
        before = _handle(numbers, handler)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _handle(numbers: Sequence[signal.Signals], handler: Handler) -> dict[signal.Signals, Any]:
    """Set a handler, and return the previous ones. An ignored SIGHUP stays ignored, because `nohup` requests that."""
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return {number: signal.signal(number, handler) for number in numbers if not (is_nohup and number is signal.SIGHUP)}
