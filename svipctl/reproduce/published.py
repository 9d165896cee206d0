"""Published numbers, and whether ours are near them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from svipctl.reproduce.collect import CHOSEN, RowResults
from svipctl.reproduce.rows import all_rows
from svipctl.reproduce.statistics import Summary, summary

RECIPE = "reference"
_FIGURES = ("T1", "U", "S", "H")


@dataclass(frozen=True)
class Comparison:
    """One published number and ours under the same protocol: recipe `reference`, epoch and offset chosen on test."""

    row: str
    figure: str
    published: float
    ours: Summary
    """Over seeds."""

    @property
    def difference(self) -> float:
        """Ours minus published, percentage points."""
        return self.ours.mean - self.published


def published_numbers(dataset: str) -> dict[str, dict[str, float]]:
    """Row of the paper -> figure -> percent; empty for data sets that the paper does not have."""
    text = (files("svipctl.reproduce") / "published.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text).get(dataset, {}))


def compare(dataset: str, rows: Sequence[RowResults]) -> list[Comparison]:
    """Every published number that a row of ours stands beside; none of runs that lack images of the data set."""
    published = published_numbers(dataset)
    beside = {row.name: row.published for row in all_rows()}
    found = []
    for row in rows:
        if row.recipe != RECIPE or any(result.partial for result in row.results):
            continue
        for figure in _FIGURES:
            number = published.get(beside[row.row], {}).get(figure)
            values = row.values(f"{CHOSEN}.{figure}")
            if number is not None and values:
                found.append(Comparison(row.row, figure, number, summary(list(values.values()))))
    return found
