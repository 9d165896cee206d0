"""Progress of long steps: a bar with rate and time left on a terminal; elsewhere a line a minute and one at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[], float]
MINUTE = 60.0


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
        """What went by since the last report was no training: it counts for the time left, not for the rate."""
        if self._last is not None:
            self._last = (self._last[0], self._clock())


class ProgressLines:
    """Lines about one step of work: one a minute, and one at the end if anything was done."""

    def __init__(self, what: str, say: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self._what, self._say, self._clock = what, say, clock
        self._pace, self._said, self._done = Pace(1, clock=clock), clock(), 0

    def move(self, done: int, total: int) -> None:
        """Note how much is done, and print it if the last line is a minute old."""
        self._done = done
        self._pace.at(done / max(total, 1))
        if done < total and self._clock() - self._said >= MINUTE:
            self._say(f"{self._what}: {done:,} of {total:,}{time_left(self._pace.left)}")
            self._said = self._clock()

    def end(self) -> None:
        """Print how much was done."""
        if self._done:
            self._say(f"{self._what}: {self._done} done")


@contextmanager
def bars(*, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr for each name that is reported; those of bytes stay when they are done."""
    from rich import progress
    from rich.console import Console

    console, tasks = Console(stderr=True), dict[str, progress.TaskID]()
    rate = progress.TextColumn("{task.fields[rate]}", style="progress.data.speed")
    counts = (
        (progress.DownloadColumn(), progress.TransferSpeedColumn())
        if in_bytes
        else (progress.MofNCompleteColumn(), rate)
    )
    bar = progress.BarColumn(max(8, min(40, console.width - 62)))
    columns = (progress.TextColumn("{task.description}"), bar, *counts, progress.TimeRemainingColumn())
    with progress.Progress(
        *columns, console=console, transient=not in_bytes, redirect_stdout=sys.stdout.isatty()
    ) as display:

        def move(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(what, total=None, rate="")
            display.update(tasks[what], completed=done, total=total or None)
            speed = next(task.speed for task in display.tasks if task.id == tasks[what])
            display.update(tasks[what], rate=f"{speed:.0f}/s" if speed else "")

        yield move


def time_left(seconds: float | None) -> str:
    """Return the end of a line that says how long the rest takes; empty while nothing is known."""
    return f"  {duration(seconds)} left" if seconds else ""


def duration(seconds: float) -> str:
    """45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
