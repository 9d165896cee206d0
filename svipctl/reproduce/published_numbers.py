"""Published numbers, and ours beside them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from svipctl.errors import ConfigError
from svipctl.reproduce.rows import all_rows
from svipctl.reproduce.run_results import CHOSEN_ON_TEST, RowResults
from svipctl.reproduce.seed_statistics import SeedMean, mean_over_seeds
from svipctl.reproduce.table_plan import TableRequest
from svipctl.settings.schema import Settings

_RECIPE = "reference"
_FIGURES = ("T1", "U", "S", "H")


@dataclass(frozen=True)
class PublishedComparison:
    """One published number and ours under the same protocol: recipe `reference`, epoch and offset chosen on test."""

    row: str
    figure: str
    published: float
    ours: SeedMean

    @property
    def difference(self) -> float:
        """Ours minus published, percentage points."""
        return self.ours.mean - self.published


def published_numbers(dataset: str) -> dict[str, dict[str, float]]:
    """Return row of the paper -> figure -> percent; empty for data sets that the paper does not have."""
    text = (files("svipctl.reproduce") / "published_numbers.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text).get(dataset, {}))


def compare_with_published(dataset: str, rows: Sequence[RowResults]) -> list[PublishedComparison]:
    """Return every published number of a row that has results; none of rows with missing images of the data set."""
    published = published_numbers(dataset)
    keys = {row.name: row.published for row in all_rows()}
    return [
        PublishedComparison(row.row, figure, published[keys[row.row]][figure], mean_over_seeds(values))
        for row in rows
        if row.recipe == _RECIPE and not any(result.partial for result in row.results)
        for figure in _FIGURES
        if figure in published.get(keys[row.row], {}) and (values := row.values(f"{CHOSEN_ON_TEST}.{figure}").values())
    ]


def check_comparable(request: TableRequest, settings: Settings) -> None:
    """Raise ConfigError unless the table will have numbers that can be compared with published ones."""
    if not published_numbers(request.dataset):
        raise ConfigError(
            f"there are no published numbers of {request.dataset} to check against",
            why="the paper has cub, awa2 and sun",
            todo="leave out --check",
        )
    if _RECIPE not in request.rows:
        raise ConfigError(f"published numbers are those of recipe {_RECIPE}", todo=f"add {_RECIPE} to --recipes")
    if settings.data.allow_partial:
        raise ConfigError(
            "numbers from a part of the images are not comparable with published ones",
            todo="leave out --check or --allow-partial",
        )
