"""Progress of training: a table and a bar on a terminal; elsewhere a line per epoch, and one per minute in long
epochs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink
from svipctl.cli._progress import MINUTE
from svipctl.pace import Clock, Pace, duration, time_left
from svipctl.runs.records import accuracy_of, epoch_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from svipctl.training.trainer import Reporter

_TERMS = ("loss", "cross_entropy", "patch", "consistency", "decorrelation")
_SHARES = {"contextualized_accuracy": "train %", "patch_auc": "patch AUC"}
_BAR = 12
_WIDTHS = {"epoch": 7, "loss": 6, "left": 10}


class Lines:
    """One line per epoch, and one per minute in between, so that a log shows progress."""

    def __init__(self, epochs: int, *, resumed: bool = False, clock: Clock = time.monotonic) -> None:
        self.epochs = epochs
        self.pace = Pace(epochs, resumed=resumed, clock=clock)
        self._clock, self._printed_at = clock, clock()

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Print a line if the last one was long ago."""
        self.pace.at(epoch - 1 + step / steps)
        if step < steps and self._clock() - self._printed_at >= MINUTE:
            line = f"epoch {epoch}/{self.epochs}  step {step}/{steps}  loss {terms['loss']:.3f}"
            self._print_line(line, self.pace.left)

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the epoch's line, with the time left."""
        self._print_line(epoch_line(record, self.epochs), self._left_after(record))

    def _left_after(self, record: dict[str, Any]) -> float | None:
        """Note the end of an epoch; return the seconds left, None after the last epoch and while they are not known."""
        self.pace.at(record["epoch"])
        self.pace.pause()
        return None if record["epoch"] == self.epochs else self.pace.left

    def _print_line(self, line: str, left: float | None) -> None:
        sink.note(line + time_left(left))
        self._printed_at = self._clock()


class Live(Lines):
    """A table with a row per epoch, and below it a bar with the loss terms of the current epoch."""

    def __init__(self, epochs: int, images: int, *, resumed: bool = False, clock: Clock = time.monotonic) -> None:
        super().__init__(epochs, resumed=resumed, clock=clock)
        self.images = images
        self._heads: list[str] = []
        self._step, self._steps, self._texts = 0, 1, ["starting"]

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the epoch's row, below a header that is printed again when the columns change."""
        cells, left = _epoch_cells(record, self.epochs), self._left_after(record)
        cells["left"] = "" if left is None else duration(left)
        widths = [max(len(head), _WIDTHS.get(head, 5)) for head in cells]
        if list(cells) != self._heads:
            self._heads = list(cells)
            sink.note("  ".join(map(str.rjust, self._heads, widths)))
        sink.note("  ".join(map(str.rjust, cells.values(), widths)))

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Show the loss terms, the rate, and the time left."""
        self.pace.at(epoch - 1 + step / steps)
        rate, left = self.pace.rate, self.pace.left
        self._step, self._steps = step, steps
        self._texts = [
            f"epoch {epoch}/{self.epochs}",
            f"step {step}/{steps}",
            *(f"{name.replace('_', '-')} {_term(terms[name])}" for name in _TERMS if terms.get(name)),
            *(f"{label} {terms[name]:.1f}" for name, label in _SHARES.items() if name in terms),
            *([] if rate is None else [f"{rate * self.images:.0f} images/s"]),
            *([] if left is None else [f"{duration(left)} left"]),
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the current epoch's bar and metrics in one line; a narrow terminal omits terms of the loss."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        texts = list(self._texts)
        while len(texts) > 5 and _BAR + sum(2 + len(text) for text in texts) > options.max_width:
            del texts[3]
        row = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(len(texts) + 1):
            row.add_column(no_wrap=True)
        row.add_row(ProgressBar(self._steps, self._step, width=_BAR), *texts)
        yield row


@contextmanager
def reporter(epochs: int, images: int, *, resumed: bool = False) -> Iterator[Reporter]:
    """Return the reporter for the kind of stderr: a terminal or not.

    Args:
        epochs: Number of epochs of the run.
        images: Number of training images per epoch.
        resumed: True if the run is continued.

    """
    if not sink.is_live:
        yield Lines(epochs, resumed=resumed)
        return
    from rich.console import Console
    from rich.live import Live as Display

    live = Live(epochs, images, resumed=resumed)
    with Display(
        live,
        console=Console(stderr=True),
        refresh_per_second=4,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # otherwise output for a file or pipe would go to the terminal
    ):
        yield live


def _epoch_cells(record: dict[str, Any], epochs: int) -> dict[str, str]:
    """Return the cells of an epoch by the head of their column; H* is the best H over all gammas."""
    cells = {"epoch": f"{record['epoch']}/{epochs}", "loss": f"{record['loss']:.3f}"}
    cells |= {"patch": f"{record['patch']:.3f}"} if record["patch"] else {}
    accuracy = accuracy_of(record)
    cells |= {} if accuracy is None else {"train": f"{accuracy:.1f}"}
    if "monitor" in record:
        figures = {f"{record['monitor']} T1": "T1", "U": "U", "S": "S", "H*": "H_oracle"}
        cells |= {head: f"{record[name]:.1f}" for head, name in figures.items()}
    cells["img/s"] = f"{record['images_per_second']:.0f}"
    cells |= {"parts": str(record["parts"])} if record.get("parts", 1) > 1 else {}
    return cells


def _term(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.0e}"
