"""Show the progress of long steps: a bar on a terminal, elsewhere a line per minute and one at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from svipctl.pace import Clock, Pace, time_left
from svipctl.quoting import printable_line

MINUTE = 60.0


class ProgressLines:
    """Lines about one step of work: one per minute, and one at the end if anything was done."""

    def __init__(self, what: str, say: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self._what, self._say, self._clock = what, say, clock
        self._pace, self._said, self._done = Pace(1, clock=clock), clock(), 0

    def move(self, done: int, total: int) -> None:
        """Record the progress, and print it if the last line is a minute old."""
        self._done = done
        self._pace.at(done / max(total, 1))
        if done < total and self._clock() - self._said >= MINUTE:
            self._say(f"{self._what}: {done:,} of {total:,}{time_left(self._pace.left)}")
            self._said = self._clock()

    def end(self) -> None:
        """Print the final count."""
        if self._done:
            self._say(f"{self._what}: {self._done} done")


@contextmanager
def bars(*, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr for each reported name; bars of bytes stay when they are done."""
    from rich import progress
    from rich.console import Console

    console, tasks = Console(stderr=True), dict[str, progress.TaskID]()
    rate = progress.TextColumn("{task.fields[rate]}", style="progress.data.speed")
    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(max(8, min(40, console.width - 62))),
        progress.DownloadColumn() if in_bytes else progress.MofNCompleteColumn(),
        progress.TransferSpeedColumn() if in_bytes else rate,
        progress.TimeRemainingColumn(),
        console=console,
        transient=not in_bytes,
        redirect_stdout=sys.stdout.isatty(),
    ) as display:

        def move(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(printable_line(what), total=None, rate="")
            display.update(tasks[what], completed=done, total=total or None)
            speed = next(task.speed for task in display.tasks if task.id == tasks[what])
            display.update(tasks[what], rate=f"{speed:.0f}/s" if speed else "")

        yield move
