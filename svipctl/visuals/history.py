"""Read the records of training: one per epoch and one per step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.evaluation.calibration import Floats
from svipctl.runs.run import Run

_MOST_POINTS = 300
_CHANCE = 50.0
_EARLIER_NAMES = {"source_accuracy": "accuracy"}
"""Name of a metric -> its name in release 0.1; later `accuracy` is only in records of the recipe `reference`, next to
it.
"""


@dataclass(frozen=True)
class History:
    """Records of metrics.jsonl and steps.jsonl, oldest first; either may be empty."""

    epochs: list[dict[str, Any]]
    steps: list[dict[str, Any]]

    def epoch_column(self, name: str) -> tuple[Floats, Floats]:
        """Return the epochs (counted from 1) that have this metric, and its values."""
        return _column(self.epochs, name, [record["epoch"] for record in self.epochs])

    def step_column(self, name: str) -> tuple[Floats, Floats]:
        """Return a step metric over time in epochs; many steps are averaged in groups to at most 300 points."""
        if not self.steps:
            return self.epoch_column(name)
        each = max(record["step"] for record in self.steps)
        epochs, values = _column(self.steps, name, [one["epoch"] - 1 + one["step"] / each for one in self.steps])
        if len(epochs) <= _MOST_POINTS:
            return epochs, values
        starts = np.arange(0, len(epochs), math.ceil(len(epochs) / _MOST_POINTS))
        counts = np.diff(np.append(starts, len(epochs)))
        return np.add.reduceat(epochs, starts) / counts, np.add.reduceat(values, starts) / counts

    @property
    def selects_patches(self) -> bool:
        """True if windows were rejected in training: with none, the AUC of the patch classifier is always 50."""
        return bool((self.step_column("patch_auc")[1] != _CHANCE).any())

    @property
    def monitored(self) -> str:
        """Split that was evaluated between epochs: `test`, `fold-1` ..., or an empty text."""
        return next((str(record["monitor"]) for record in reversed(self.epochs) if "monitor" in record), "")


def read_history(run: Run) -> History:
    """Return the records of a run; they are empty before its first epoch is finished.

    Raises:
        DataError: A file is damaged.

    """
    return History(run.metrics, run.steps)


def _column(records: list[dict[str, Any]], name: str, epochs: list[float]) -> tuple[Floats, Floats]:
    values = [one.get(name, one.get(_EARLIER_NAMES.get(name, name))) for one in records]
    known = [(epoch, value) for epoch, value in zip(epochs, values) if isinstance(value, int | float)]
    columns = np.array(known, dtype=np.float64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]
