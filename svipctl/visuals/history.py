"""What training wrote down: a record an epoch and a record a step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError
from svipctl.runs.run import Run

Floats = NDArray[np.float64]
_MOST_POINTS = 300


@dataclass(frozen=True)
class History:
    """Records of metrics.jsonl and steps.jsonl, oldest first; either may be empty."""

    epochs: list[dict[str, Any]]
    steps: list[dict[str, Any]]

    def epoch_column(self, name: str) -> tuple[Floats, Floats]:
        """Epochs (counted from 1) that have this figure, and its values."""
        return _column(self.epochs, name, [record["epoch"] for record in self.epochs])

    def step_column(self, name: str) -> tuple[Floats, Floats]:
        """A step figure over time in epochs; many steps are averaged in runs to at most 300 points."""
        if not self.steps:
            places, values = self.epoch_column(name)
            return places, values
        each = max(record["step"] for record in self.steps)
        places, values = _column(
            self.steps, name, [record["epoch"] - 1 + record["step"] / each for record in self.steps]
        )
        size = -(-len(places) // _MOST_POINTS) if len(places) else 1
        starts = np.arange(0, len(places), size)
        if not len(starts):
            return places, values
        counts = np.diff(np.append(starts, len(places)))
        return np.add.reduceat(places, starts) / counts, np.add.reduceat(values, starts) / counts

    @property
    def monitored(self) -> str:
        """What was evaluated between epochs: `test`, `fold-1` ..., or nothing."""
        return next((str(record["monitor"]) for record in reversed(self.epochs) if "monitor" in record), "")


def read_history(run: Run) -> History:
    """The records of a run; of one that has not finished its first epoch they are empty.

    Raises:
        DataError: A file is damaged.

    """
    return History(_read(run.folder / "metrics.jsonl"), _read(run.folder / "steps.jsonl"))


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines if line.strip()]
        if not all(isinstance(record, dict) and isinstance(record.get("epoch"), int) for record in records):
            raise ValueError("a record has no epoch")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged", why=str(error), todo="take the damaged line out of it") from error
    return records


def _column(records: list[dict[str, Any]], name: str, places: list[float]) -> tuple[Floats, Floats]:
    kept = [
        (place, record[name]) for place, record in zip(places, records) if isinstance(record.get(name), int | float)
    ]
    found = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
