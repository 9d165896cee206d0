"""The curves of a run for TensorBoard: the same figures as in steps.jsonl and metrics.jsonl, in event files."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable
from typing import Any

from svipctl.errors import ConfigError, explained_disk_errors
from svipctl.runs.records import Record
from svipctl.runs.run import Run

FOLDER = "tensorboard"
_PLACES = frozenset(["epoch", "step"])


def check_installed() -> None:
    """Raise ConfigError unless TensorBoard is there."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "train.tensorboard needs TensorBoard, which is not installed",
            todo="pip install 'svipctl[tensorboard]', or leave out --set train.tensorboard=true",
        )


class Board:
    """Event files with `step/<figure>` over the steps of a whole run, and `epoch/<figure>` over its epochs, from 1.

    Raises:
        ConfigError: TensorBoard is not installed.

    """

    def __init__(self, run: Run) -> None:
        check_installed()
        self.run = run
        self.folder = run.folder / FOLDER
        self.writer: Any = None
        self.steps_per_epoch = 0

    def begin(self, steps_per_epoch: int) -> None:
        """Write anew what was written before, from the run's own records.

        Event files can only grow, and the steps after the last save are done twice.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.steps_per_epoch = steps_per_epoch
        with explained_disk_errors(str(self.folder)):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.writer = SummaryWriter(str(self.folder))
        self.steps(self.run.steps)
        for record in self.run.metrics:
            self.epoch(record)

    def steps(self, records: Iterable[Record]) -> None:
        """Add them, and let whoever watches see them."""
        with explained_disk_errors(str(self.folder)):
            for record in records:
                self._add("step", record, (record["epoch"] - 1) * self.steps_per_epoch + record["step"])
            self.writer.flush()

    def epoch(self, record: Record) -> None:
        """Add it, and let whoever watches see it."""
        with explained_disk_errors(str(self.folder)):
            self._add("epoch", record, record["epoch"])
            self.writer.flush()

    def close(self) -> None:
        """End the event file."""
        if self.writer is not None:
            self.writer.close()

    def _add(self, group: str, record: Record, position: int) -> None:
        for name, value in record.items():
            if name not in _PLACES and isinstance(value, int | float):
                self.writer.add_scalar(f"{group}/{name}", value, position)
