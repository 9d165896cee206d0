"""Compare our numbers with the published ones."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from svipctl.errors import ConfigError
from svipctl.reproduce.rows import all_rows
from svipctl.reproduce.run_results import CHOSEN_ON_TEST, RowResults
from svipctl.reproduce.seed_statistics import SeedMean, rounded
from svipctl.reproduce.table_plan import TableRequest
from svipctl.settings.schema import Settings

_RECIPE = "reference"


def published_numbers(dataset: str) -> dict[str, dict[str, float]]:
    """Return row of the paper -> metric -> percent; empty for data sets that are not in the paper."""
    text = (files("svipctl.reproduce") / "published_numbers.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text).get(dataset, {}))


def compare_with_published(dataset: str, rows: Sequence[RowResults]) -> list[dict[str, Any]]:
    """Return each published number and ours under the same protocol: epoch and offset chosen on test.

    Only rows of recipe `reference` are compared, and none with missing images of the data set.

    Returns:
        `row`, `figure`, `published`, `ours` with its `sd` over `n` seeds, and `difference`, ours minus published, in
        percentage points.

    """
    published = published_numbers(dataset)
    keys = {row.name: row.published for row in all_rows()}
    compared = []
    for row in rows:
        if row.recipe != _RECIPE or any(result.evaluation.missing_images for result in row.results):
            continue
        for figure, number in published.get(keys[row.row], {}).items():
            if values := row.values(f"{CHOSEN_ON_TEST}.{figure}"):
                ours = SeedMean(values.values())
                entry = {"row": row.row, "figure": figure, "published": number, "ours": rounded(ours.mean)}
                entry |= {"sd": rounded(ours.sd), "difference": rounded(ours.mean - number), "n": ours.n}
                compared.append(entry)
    return compared


def check_comparable(request: TableRequest, settings: Settings) -> None:
    """Raise ConfigError unless the numbers of the table can be compared with published ones."""
    if not published_numbers(request.dataset):
        raise ConfigError(
            f"there are no published numbers of {request.dataset} to check against",
            why="the paper has cub, awa2 and sun",
            todo="omit --check",
        )
    if _RECIPE not in request.rows:
        raise ConfigError(f"the published numbers are those of recipe {_RECIPE}", todo=f"add {_RECIPE} to --recipes")
    if settings.data.allow_partial:
        raise ConfigError(
            "numbers of a data set with missing images are not comparable with published ones",
            todo="omit --check or --allow-partial",
        )
