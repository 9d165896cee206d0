"""Define the names of the benchmarks, without heavy imports, for help and completion."""

from __future__ import annotations

import os
from pathlib import Path

from svipctl.errors import ConfigError, DataError, nearest
from svipctl.quoting import shell_command, shell_words

OFFICIAL = ("cub", "awa2", "sun")
BUILT_IN = ("toybirds",)
NAMED = (*OFFICIAL, *BUILT_IN)
"""Data sets in the folder `--data-dir`; all others are folders of your own."""


def dataset_name(dataset: str) -> str:
    """Return the folder name for runs of a data set: its name, or the last part of a folder's path."""
    return dataset if dataset in NAMED else Path(dataset).resolve().name


def own_folder(name: str) -> Path:
    """Return the folder of a data set of your own.

    Raises:
        ConfigError: The folder does not exist; lists similar known names.

    """
    if not name or not Path(name).is_dir():  # an empty name would be the working folder
        own = [path.parent.name for path in Path().glob("*/attributes.csv")]
        raise ConfigError(
            f"no data set {name!r}",
            why=nearest(name, [*NAMED, *own]),
            todo="pass one of these, or the path of a folder with images/ and attributes.csv",
        )
    if (Path(name) / "config.toml").exists() and not (Path(name) / "attributes.csv").exists():
        raise ConfigError(
            f"{name} is a run, not a data set",
            todo=f"pass the data set that it was trained on: {shell_words(Path(name).resolve().parent.name)}",
        )
    return Path(name)


def dataset_folder(name: str, data_dir: Path) -> Path:
    """Return the folder of a data set; raise ConfigError as `own_folder`."""
    return data_dir / name if name in NAMED else own_folder(name)


def is_dataset(name: str) -> bool:
    """Return True if a name is that of a benchmark, or a folder with the table of a data set."""
    is_benchmark = name in NAMED and not Path(name).exists()
    return is_benchmark or os.path.exists(os.path.join(name, "attributes.csv"))  # noqa: PTH110, PTH118 (any length)


def check_dataset(name: str, *, is_complete: bool = False) -> None:
    """Raise ConfigError unless a name is a benchmark or a folder; `is_complete` requires the table of a data folder."""
    if name in NAMED:
        return
    folder = own_folder(name)
    if is_complete and not (folder / "attributes.csv").exists():
        raise ConfigError(
            f"{name} is not a data folder: it has no attributes.csv",
            todo="pass a folder with images/ and attributes.csv (docs/own-data.md)",
        )


def check_present(name: str, data_dir: Path) -> None:
    """Raise ConfigError as `check_dataset`, and DataError if a benchmark that needs a download is missing."""
    check_dataset(name)
    if name in OFFICIAL and not (data_dir / name).is_dir():
        raise DataError(f"{name} is not in {data_dir}", todo=shell_command("data", "fetch", name))
