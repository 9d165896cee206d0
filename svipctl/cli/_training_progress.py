"""How training shows itself: a live table on a terminal, plain lines elsewhere, one an epoch and in long ones one a minute."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink
from svipctl.cli._progress import MINUTE
from svipctl.pace import Clock, Pace, duration, time_left
from svipctl.runs.records import epoch_line

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


class Lines:
    """One line an epoch, and one a minute in between, so that a log shows that something goes on."""

    def __init__(
        self, epochs: int, *, resumed: bool = False, clock: Clock = time.monotonic, silence: float = MINUTE
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
        sink.note(line + time_left(left))
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


def _term(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.0e}"
