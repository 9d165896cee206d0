"""Find image files from files, folders, patterns or a list, one at a time."""

from __future__ import annotations

import glob
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from svipctl.datasets.image_files import Entry, entries
from svipctl.errors import DataError

_LONGEST = 2**16
"""Characters of a line of a list; Linux allows 4,096 bytes."""
_ANY_FOLDERS = re.compile(r"(?:(?<=/)|^)(?:\*\*(?:/+|$))+")


def find_pictures(named: Iterable[str], left_out: Callable[[Entry], object] = lambda entry: None) -> Iterator[Path]:
    """Yield image files in the order of their names on the command line, found on demand.

    A folder yields every image below it, as `svipctl.datasets.image_files` finds them. A pattern (`*`, `?`, `[...]`,
    `**`) that is not a file's name yields its matches. A name without matches and a folder that cannot be listed are
    yielded unchanged, so that opening them raises the error; below `**` such a folder is only left out.

    Args:
        named: Names of files and folders, and patterns.
        left_out: Called with each entry of a folder that is not an image.

    """
    for name in named:
        path = Path(name)
        if os.path.isdir(name):  # noqa: PTH112 (Path.is_dir raises for a name too long for a file)
            yield from _or_itself(_below(path, left_out), path)
        elif not os.path.exists(name) and glob.has_magic(name):  # noqa: PTH110 (as above)
            yield from _or_itself(_matching(name, left_out), path)
        else:
            yield path


def listed(file: TextIO) -> Iterator[str]:
    """Yield the names in a list, one per line, without a byte-order mark; empty lines are skipped.

    Raises:
        DataError: The list is in UTF-16, or has NUL characters or a line longer than any name.

    """
    for number, line in enumerate(iter(partial(file.readline, _LONGEST), "")):
        if number == 0 and os.fsencode(line[:2]) in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise DataError("the list of images is in UTF-16", todo="save it in UTF-8")
        if "\0" in line or len(line) >= _LONGEST:
            why = "has a NUL character" if "\0" in line else f"is longer than {_LONGEST:,} characters"
            raise DataError(
                "the list of images does not have one name per line",
                why=f"line {number + 1:,} {why}",
                todo="separate the names by line ends, as find and ls do",
            )
        name = (line.removeprefix("\ufeff") if number == 0 else line).rstrip("\r\n")
        if name.strip():
            yield name


def _below(folder: Path, left_out: Callable[[Entry], object]) -> Iterator[Path]:
    closed = []
    for entry in entries(folder):
        if not entry.left_out:
            yield entry.path
        elif entry.closed:
            closed.append(entry.path)
        else:
            left_out(entry)
    yield from closed


def _matching(pattern: str, left_out: Callable[[Entry], object]) -> Iterator[Path]:
    for match in _expanded(pattern, left_out):
        if not os.path.isdir(match):  # noqa: PTH112 (as above)
            yield Path(match)
        elif not _ANY_FOLDERS.search(pattern):  # `**` matches the contents of a folder too
            yield from _below(Path(match), left_out)


def _expanded(pattern: str, left_out: Callable[[Entry], object]) -> Iterator[str]:
    """Yield the matches of a pattern; `**` enters each folder once, where glob would follow links in circles."""
    found = _ANY_FOLDERS.search(pattern)
    if found is None:
        yield from glob.iglob(pattern)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        return
    start, rest = pattern[: found.start()], pattern[found.end() :]
    for top in glob.iglob(start) if start else [""]:  # noqa: PTH207 (as above)
        for folder in _folders(top, left_out):
            yield from _expanded(os.path.join(glob.escape(folder), rest or "*"), left_out)  # noqa: PTH118 (as above)


def _folders(top: str, left_out: Callable[[Entry], object]) -> Iterator[str]:
    """Yield a folder and all below it that are not hidden, by name, each once."""
    waiting, listed = [top], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        try:
            status, names = os.stat(folder or "."), sorted(os.listdir(folder or "."))  # noqa: PTH116, PTH208 (as above)
        except OSError as error:
            left_out(Entry(Path(folder), f"it cannot be listed: {error.strerror}", closed=True))
            continue
        if (status.st_dev, status.st_ino) not in listed:
            listed.add((status.st_dev, status.st_ino))
            yield folder
            below = [os.path.join(folder, name) for name in reversed(names) if not name.startswith(".")]  # noqa: PTH118
            waiting += filter(os.path.isdir, below)


def _or_itself(found: Iterator[Path], named: Path) -> Iterator[Path]:
    first = next(found, None)
    if first is None:
        yield named
        return
    yield first
    yield from found
