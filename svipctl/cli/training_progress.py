"""How training shows itself: a live line on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from svipctl.cli.output import sink

if TYPE_CHECKING:
    from svipctl.training.loop import Reporter


class Lines:
    """One line an epoch."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.started = time.monotonic()

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Say nothing."""

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the epoch's line, with the time left."""
        spent = time.monotonic() - self.started
        left = spent / record["epoch"] * (self.epochs - record["epoch"])
        sink.note(epoch_line(record, self.epochs) + (f"  {duration(left)} left" if left else ""))


class Live(Lines):
    """The same, and a moving line below with the steps of the current epoch."""

    def __init__(self, epochs: int, bar: Any, task: Any) -> None:
        super().__init__(epochs)
        self.bar, self.task = bar, task

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Move the bar."""
        shown = f"epoch {epoch}/{self.epochs}  loss {terms['loss']:.3f}"
        self.bar.update(self.task, completed=(epoch - 1) * steps + step, total=self.epochs * steps, description=shown)


@contextmanager
def reporter(epochs: int) -> Iterator[Reporter]:
    """The reporter that suits where stderr goes."""
    if not sink.is_live:
        yield Lines(epochs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Live(epochs, bar, bar.add_task("starting", total=None))


def epoch_line(record: dict[str, Any], epochs: int) -> str:
    """Loss terms, accuracies and, where there is one, the monitored split's figures."""
    parts = [
        f"epoch {record['epoch']}/{epochs}",
        f"loss {record['loss']:.3f}",
        f"patch {record['patch']:.3f}",
        f"train {record['accuracy']:.1f} %",
    ]
    if "monitor" in record:
        figures = " ".join(f"{name} {record[name]:.1f}" for name in ("T1", "U", "S"))
        parts.append(f"{record['monitor']}: {figures} H* {record['H_oracle']:.1f}")
    parts.append(f"{record['images_per_second']:.0f} images/s")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
