"""What completion finds in folders: runs, and the names of classes and attributes. Whatever cannot be read has none."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from svipctl.cli.answers import default_folder
from svipctl.datasets.group_row import is_group_row
from svipctl.datasets.names import BUILT_IN, OFFICIAL


def run_folders(words: list[str]) -> list[Path]:
    """Runs of the data sets among the words, or of all where none is named; the newest first."""
    root = default_folder(words, "--runs-dir", "runs")
    named = {Path(word).name for word in words if word in (*OFFICIAL, *BUILT_IN) or _is_own_data(word)}
    folders = [folder for folder in folders_in(root) if folder.name in named or not named]
    found = [run for folder in folders for run in folders_in(folder) if (run / "config.toml").is_file()]
    return sorted(found, key=_changed, reverse=True)


def run_names(words: list[str]) -> list[str]:
    """Their names, each with its data set where several have a run of that name."""
    found = run_folders(words)
    often = Counter(run.name for run in found)
    return [run.name if often[run.name] == 1 else f"{run.parent.name}/{run.name}" for run in found]


def _changed(run: Path) -> float:
    """As the program itself tells the newest run."""
    try:
        return (run / "config.toml").stat().st_mtime
    except OSError:
        return 0.0


def folders_in(parent: Path) -> list[Path]:
    """Folders in a folder, hidden ones left out."""
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def class_names(words: list[str]) -> list[str]:
    """Classes of the data set among the words, from its own table or list."""
    return [name for place in _data_folders(words)[:1] for name in _class_names(place)]


def attribute_names(words: list[str]) -> list[str]:
    """Attributes of the data set among the words; none of SUN, whose list is a MATLAB file that takes SciPy to read."""
    return [name for place in _data_folders(words)[:1] for name in _attribute_names(place)]


def _data_folders(words: list[str]) -> list[Path]:
    """Folders of the data sets named among the words."""
    named = [word for word in words if word in (*OFFICIAL, *BUILT_IN)]
    places = [default_folder(words, "--data-dir", "data") / name for name in named]
    return places + [Path(word) for word in words if _is_own_data(word)]


def _is_own_data(word: str) -> bool:
    try:
        return (Path(word) / "attributes.csv").is_file()
    except (OSError, ValueError):
        return False


def _class_names(folder: Path) -> Iterator[str]:
    try:
        if (folder / "attributes.csv").is_file():
            with (folder / "attributes.csv").open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row][1:]
            yield from (row[0] for row in (rows[1:] if rows and is_group_row(rows[0]) else rows))
        else:
            path = next(iter(sorted(folder.glob("xlsa17/data/*/allclasses.txt"))), None)
            if path is not None:
                yield from path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError, csv.Error):
        return


def _attribute_names(folder: Path) -> Iterator[str]:
    try:
        if (folder / "attributes.csv").is_file():
            with (folder / "attributes.csv").open(newline="", encoding="utf-8") as file:
                yield from next(csv.reader(file), [""])[1:]
        else:
            lists = [folder / "attributes.txt", folder / "Animals_with_Attributes2" / "predicates.txt"]
            lines = next((path for path in lists if path.is_file()), None)
            if lines is not None:
                for line in lines.read_text(encoding="utf-8").splitlines():
                    yield line.split(maxsplit=1)[-1] if line.split() else ""
    except (OSError, UnicodeDecodeError, csv.Error):
        return
