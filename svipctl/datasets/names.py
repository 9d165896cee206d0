"""Names of the benchmarks. Free of imports, so that help and completion can use them."""

from __future__ import annotations

from pathlib import Path

OFFICIAL = ("cub", "awa2", "sun")
BUILT_IN = ("toybirds",)


def dataset_name(dataset: str) -> str:
    """What runs of a data set are filed under: its name, or the last part of a folder's path."""
    return dataset if dataset in (*OFFICIAL, *BUILT_IN) else Path(dataset).resolve().name
