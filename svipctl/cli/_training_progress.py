"""How training shows itself: a live table on a terminal, plain lines elsewhere, one an epoch and in long ones one a minute."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink

if TYPE_CHECKING:
    from rich.console import RenderableType

    from svipctl.training.trainer import Reporter

_TERMS = {
    "loss": "loss",
    "cross_entropy": "cross-entropy",
    "patch": "patch",
    "consistency": "consistency",
    "decorrelation": "decorrelation",
}
_SHARES = {"contextualized_accuracy": "train %", "patch_auc": "patch AUC"}
Clock = Callable[[], float]
_MINUTE = 60.0


class Pace:
    """How fast epochs go by in this process; a resumed run does not count what another one did.

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


class Lines:
    """One line an epoch, and one a minute in between, so that a log shows that something goes on."""

    def __init__(
        self, epochs: int, *, resumed: bool = False, clock: Clock = time.monotonic, silence: float = _MINUTE
    ) -> None:
        """`silence` is how many seconds may go by within an epoch without a line."""
        self.epochs = epochs
        self.pace = Pace(epochs, resumed=resumed, clock=clock)
        self._clock, self._silence, self._told = clock, silence, clock()

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Print a line if the last one was long ago."""
        self.pace.at(epoch - 1 + step / steps)
        if step < steps and self._clock() - self._told >= self._silence:
            self._tell(f"epoch {epoch}/{self.epochs}  step {step}/{steps}  loss {terms['loss']:.3f}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the epoch's line, with the time left."""
        self.pace.at(record["epoch"])
        self.pace.pause()
        self._tell(epoch_line(record, self.epochs), is_last=record["epoch"] == self.epochs)

    def _tell(self, line: str, *, is_last: bool = False) -> None:
        left = None if is_last else self.pace.left
        sink.note(line + (f"  {duration(left)} left" if left else ""))
        self._told = self._clock()


class Live(Lines):
    """The same, and a table below them with the terms of the epoch that goes on."""

    def __init__(self, epochs: int, images: int, *, resumed: bool = False, clock: Clock = time.monotonic) -> None:
        super().__init__(epochs, resumed=resumed, clock=clock, silence=math.inf)
        self.images = images
        self._cells: dict[str, str] = {"epoch": f"-/{epochs}", "step": "starting"}

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Show the terms, how fast images go by, and the time left."""
        super().step(epoch, step, steps, terms)
        cells = {"epoch": f"{epoch}/{self.epochs}", "step": f"{step}/{steps}"}
        cells |= {label: _term(terms[name]) for name, label in _TERMS.items() if terms.get(name)}
        cells |= {label: f"{terms[name]:.1f}" for name, label in _SHARES.items() if name in terms}
        rate, left = self.pace.rate, self.pace.left
        cells["images/s"] = "" if rate is None else f"{rate * self.images:.0f}"
        cells["left"] = "" if left is None else duration(left)
        self._cells = cells

    def table(self, width: int) -> RenderableType:
        """The table as it is now; on a narrow terminal the terms in the middle are left out."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        shown = dict(self._cells)
        while len(shown) > 4 and sum(3 + max(len(head), len(cell)) for head, cell in shown.items()) > width:
            del shown[list(shown)[-3]]
        table = Table(box=SIMPLE_HEAD if sink.has_braille else None, pad_edge=False)
        for head in shown:
            table.add_column(head, justify="right", no_wrap=True)
        table.add_row(*shown.values())
        return table


@contextmanager
def reporter(epochs: int, images: int, *, resumed: bool = False) -> Iterator[Reporter]:
    """The reporter that suits where stderr goes.

    Args:
        epochs: Of the run.
        images: Trained on in an epoch.
        resumed: Whether it goes on somewhere in the middle.

    """
    if not sink.is_live:
        yield Lines(epochs, resumed=resumed)
        return
    from rich.console import Console
    from rich.live import Live as Display

    live = Live(epochs, images, resumed=resumed)
    console = Console(stderr=True)
    with Display(
        get_renderable=lambda: live.table(console.width),
        console=console,
        refresh_per_second=4,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else what a file or pipe is to get would go to the terminal
    ):
        yield live


def epoch_line(record: dict[str, Any], epochs: int) -> str:
    """Loss terms, accuracies and, where there is one, the monitored split's figures."""
    from svipctl.runs.records import accuracy_of

    parts = [
        f"epoch {record['epoch']}/{epochs}",
        f"loss {record['loss']:.3f}",
        f"patch {record['patch']:.3f}",
    ]
    accuracy = accuracy_of(record)
    parts += [] if accuracy is None else [f"train {accuracy:.1f} %"]
    if "monitor" in record:
        figures = " ".join(f"{name} {record[name]:.1f}" for name in ("T1", "U", "S"))
        parts.append(f"{record['monitor']}: {figures} H* {record['H_oracle']:.1f}")
    parts.append(f"{record['images_per_second']:.0f} images/s")
    if record.get("parts", 1) > 1:
        parts.append(f"batches in {record['parts']} parts")
    return "  ".join(parts)


def _term(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.0e}"


def duration(seconds: float) -> str:
    """45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
