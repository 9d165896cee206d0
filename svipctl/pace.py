"""How fast work goes by, and how long the rest of it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Pace:
    """How fast epochs, or other work, go by in this process; a resumed run does not count what another one did.

    Attributes:
        left: Seconds until the end, None while nothing is known.
        rate: Epochs a second since the report before, None while nothing is known.

    """

    def __init__(self, epochs: int, *, resumed: bool = False, clock: Clock = time.monotonic) -> None:
        self.epochs = epochs
        self.left: float | None = None
        self.rate: float | None = None
        self._clock = clock
        # Of a resumed run nobody says where in the epoch it went on: the first report is the start.
        self._start: tuple[float, float] | None = None if resumed else (0.0, clock())
        self._last = self._start

    def at(self, place: float) -> None:
        """So many epochs of the run are done."""
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
        """Count the time since the last report for the time left, but not for the rate: it was no training."""
        if self._last is not None:
            self._last = (self._last[0], self._clock())


def time_left(seconds: float | None) -> str:
    """Return the end of a line that says how long the rest takes; empty while nothing is known."""
    return f"  {duration(seconds)} left" if seconds else ""


def duration(seconds: float) -> str:
    """45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
