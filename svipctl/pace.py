"""Measure the speed of work, and estimate the time that the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Pace:
    """Speed of epochs, or other work, in this process; work of earlier processes of a resumed run does not count.

    Attributes:
        left: Seconds until the end, None while nothing is known.
        rate: Epochs a second since the report before, None while nothing is known.

    """

    def __init__(self, epochs: int, *, resumed: bool = False, clock: Clock = time.monotonic) -> None:
        self.epochs = epochs
        self.left: float | None = None
        self.rate: float | None = None
        self._clock = clock
        # It is not known where in the epoch a resumed run continues: the first report is the start.
        self._start: tuple[float, float] | None = None if resumed else (0.0, clock())
        self._last = self._start

    def at(self, place: float) -> None:
        """Record that the given number of epochs of the run is done."""
        now = self._clock()
        if self._start is None or self._last is None:
            self._start = self._last = (place, now)
            return
        first, started = self._start
        before, then = self._last
        if place > before and now > then:
            self.rate = (place - before) / (now - then)
        if place > first:
            self.left = (now - started) / (place - first) * (self.epochs - place)
        self._last = (place, now)

    def pause(self) -> None:
        """Count the time since the last report for the time left, but not for the rate: it was not training."""
        if self._last is not None:
            self._last = (self._last[0], self._clock())


def time_left(seconds: float | None) -> str:
    """Return the end of a line with the time left, for instance `  7 min left`; empty while it is not known."""
    return f"  {duration(seconds)} left" if seconds else ""


def duration(seconds: float) -> str:
    """Return a duration as text: 45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
