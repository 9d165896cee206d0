"""Names of the benchmarks. Free of heavy imports, so that help and completion can use them."""

from __future__ import annotations

import os
from pathlib import Path

from svipctl.quoting import shell_command, shell_words

OFFICIAL = ("cub", "awa2", "sun")
BUILT_IN = ("toybirds",)


def dataset_name(dataset: str) -> str:
    """What runs of a data set are filed under: its name, or the last part of a folder's path."""
    return dataset if dataset in (*OFFICIAL, *BUILT_IN) else Path(dataset).resolve().name


def own_folder(name: str) -> Path:
    """The folder of a data set of one's own.

    Raises:
        ConfigError: There is none of that name; the nearest known names are told.

    """
    from svipctl.errors import ConfigError, nearest

    if not name or not Path(name).is_dir():  # an empty name would be the working folder
        own = [path.parent.name for path in Path().glob("*/attributes.csv")]
        raise ConfigError(
            f"no data set {name!r}",
            why=nearest(name, [*OFFICIAL, *BUILT_IN, *own]),
            todo="name one of these, or the path of a folder with images/ and attributes.csv",
        )
    if (Path(name) / "config.toml").exists() and not (Path(name) / "attributes.csv").exists():
        raise ConfigError(
            f"{name} is a run, not a data set",
            todo=f"name its data set: {shell_words(Path(name).resolve().parent.name, '--run', name)}",
        )
    return Path(name)


def is_dataset(name: str) -> bool:
    """Return whether it is the name of a benchmark, or a folder with the table of a data set."""
    is_benchmark = name in (*OFFICIAL, *BUILT_IN) and not Path(name).exists()
    return is_benchmark or os.path.exists(os.path.join(name, "attributes.csv"))  # noqa: PTH110, PTH118 (any length)


def check_dataset(name: str) -> None:
    """Raise ConfigError unless it is a benchmark or a folder; what is in that is not looked at."""
    if name not in (*OFFICIAL, *BUILT_IN):
        own_folder(name)


def check_present(name: str, data_dir: Path) -> None:
    """Raise ConfigError as `check_dataset`, and DataError if a benchmark to be downloaded is not there at all."""
    check_dataset(name)
    if name in OFFICIAL and not (data_dir / name).is_dir():
        from svipctl.errors import DataError

        raise DataError(f"{name} is not in {data_dir}", todo=shell_command("data", "fetch", name))
