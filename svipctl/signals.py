"""Being told to stop: Slurm's SIGTERM and SIGUSR1, submitit's SIGUSR2, the SIGHUP of a closed terminal, and Ctrl-C."""

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
"""Seconds within which a further signal is the same request: `timeout` and terminals send to a process and to its group."""

Handler = Callable[[int, FrameType | None], None]


class Signalled(KeyboardInterrupt):
    """A signal, raised wherever the program is, as Python raises Ctrl-C.

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
        """Number of the signal; 0 without one."""
        return int(self.received or 0)

    def hear(self, number: int) -> bool:
        """Note a signal that some process of the run has received; 0 is none. Returns whether there was one."""
        if number and self.received is None:
            self.received = signal.Signals(number)
        return number > 0

    def raise_if_asked(self, todo: str = "run the same command again", *, why: str = "") -> None:
        """End the work in progress by Interrupted, which says what is kept and how to go on."""
        if self.received is signal.SIGINT:
            raise InterruptedByHand("stopped by Ctrl-C", why=why, todo=todo)
        if self.received is not None:
            raise Interrupted(f"stopped by {self.received.name}", why=why, todo=todo)


def raise_signals() -> Stop:
    """Raise `Signalled` for every signal from now on; those of `listening` are noted all the same.

    A program's first act. What a destructor makes of the exception, which Python would print and forget, is raised again
    a moment later.

    Returns:
        What was received, for whoever meets another error that the exception has become on its way.

    """
    heard, last = Stop(), [-_AGAIN]

    def tell(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - last[0] >= _AGAIN:
            last[0], heard.received = now, signal.Signals(number)
            raise Signalled(number)

    def raise_later(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Signalled):
            sys.__unraisablehook__(lost)
            return
        again = Timer(_AGAIN, os.kill, (os.getpid(), lost.exc_value.received))
        again.daemon = True
        again.start()

    _handle(SIGNALS, tell)
    sys.unraisablehook = raise_later
    return heard


def end_on_signals(code: int) -> None:
    """End the process with this exit code on any signal from now on; all that there was to do is done and written."""
    _handle(SIGNALS, lambda number, frame: os._exit(code))


def ignore_signals() -> None:
    """Ignore all signals, in a process that ends with another one or is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


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

    with handled(SIGNALS, note):
        yield stop


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait until a short piece of work is over that must not be cut.

    A process that starts meanwhile inherits them blocked, and does not die of them before it has said what they mean to it.
    """
    waiting: list[int] = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        # The system hands a blocked signal to another thread, and Python its handler to the main one.
        with handled(SIGNALS, lambda number, frame: waiting.append(number)):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number in waiting:
            os.kill(os.getpid(), number)


@contextmanager
def handled(numbers: Sequence[signal.Signals], handler: Handler) -> Iterator[None]:
    """Call a handler for these signals; nothing changes in another thread than the program's main one."""
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
    """Set a handler, and return those before. SIGHUP stays ignored where it is: `nohup` asked for that."""
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return {number: signal.signal(number, handler) for number in numbers if not (is_nohup and number is signal.SIGHUP)}
