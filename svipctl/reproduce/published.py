"""Published numbers, and whether ours are near them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from svipctl.reproduce.collect import CHOSEN, RowResults
from svipctl.reproduce.rows import all_rows
from svipctl.reproduce.statistics import summary

RECIPE = "reference"
TOLERANCE = 2.0
"""Percentage points: about twice what the authors' own runs differ by."""
_OURS = {"T1": (f"{CHOSEN}.T1", "zsl.T1"), "H": (f"{CHOSEN}.H", "reference.H")}


@dataclass(frozen=True)
class Comparison:
    """One published number and ours under the same protocol: recipe `reference`, epoch and offset chosen on test."""

    row: str
    figure: str
    published: float
    ours: float
    """Mean over seeds."""
    n: int

    @property
    def difference(self) -> float:
        """Ours minus published, percentage points."""
        return self.ours - self.published

    def within(self, tolerance: float) -> bool:
        """Whether they are no further apart than this."""
        return abs(self.difference) <= tolerance


def published_numbers(dataset: str) -> dict[str, dict[str, float]]:
    """Row of the paper -> figure -> percent; empty for data sets that the paper does not have."""
    text = (files("svipctl.reproduce") / "published.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text).get(dataset, {}))


def compare(dataset: str, rows: Sequence[RowResults]) -> list[Comparison]:
    """Every published number that a row of ours stands beside."""
    published = published_numbers(dataset)
    beside = {row.name: row.published for row in all_rows()}
    found = []
    for row in rows:
        if row.recipe != RECIPE:
            continue
        for figure, keys in _OURS.items():
            number = published.get(beside[row.row], {}).get(figure)
            values = next((values for values in map(row.values, keys) if values), None)
            if number is not None and values:
                ours = summary(list(values.values()))
                found.append(Comparison(row.row, figure, number, ours.mean, ours.n))
    return found
