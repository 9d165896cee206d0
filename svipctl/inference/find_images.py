"""From what the user names - files, folders, patterns, a list - to image files, one at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from svipctl.datasets.folder import PICTURES


def find_pictures(named: Iterable[str]) -> Iterator[Path]:
    """Image files in the order they are named, found while they are asked for.

    A folder gives every picture below it, sorted by name within each folder; only one folder's names are held at a
    time. A pattern (`*`, `?`, `[...]`, `**`) that is no file's name gives what it matches. What names nothing, and a
    folder that cannot be listed, is given as it is: whoever opens it says so.
    """
    for name in named:
        path = Path(name)
        if os.path.isdir(name):  # noqa: PTH112 (Path.is_dir raises for a name too long for a file)
            yield from _or_itself(_below(path), path)
        elif not os.path.exists(name) and glob.has_magic(name):  # noqa: PTH110 (as above)
            matches = (Path(match) for match in glob.iglob(name, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
            yield from _or_itself((match for match in matches if match.is_file()), path)
        else:
            yield path


def listed(lines: Iterable[str]) -> Iterator[str]:
    """The names in a list, one a line; empty lines are passed over."""
    for line in lines:
        name = line.rstrip("\r\n")
        if name.strip():
            yield name


def _below(folder: Path) -> Iterator[Path]:
    closed: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in PICTURES:
                yield Path(parent, name)
    yield from closed


def _or_itself(found: Iterator[Path], named: Path) -> Iterator[Path]:
    first = next(found, None)
    if first is None:
        yield named
        return
    yield first
    yield from found
