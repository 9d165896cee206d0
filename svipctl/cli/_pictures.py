"""Resolve the images of a command line: files, folders, patterns, or a list on stdin."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from svipctl.cli._output import sink
from svipctl.errors import DataError

ARGUMENT_HELP = "Files, folders, glob patterns in quotes, or - for a list on stdin."


def check_named(names: Sequence[str]) -> None:
    """Raise DataError unless one of the names is a file, a folder, a quoted pattern, or -."""
    if not any(name == "-" or os.path.exists(name) or glob.has_magic(name) for name in names):  # noqa: PTH110 (any length)
        raise DataError(f"image not found: {', '.join(names)}", todo="pass files, folders, or glob patterns in quotes")


def named_pictures(names: Sequence[str], command: str) -> Iterator[Path]:
    """Yield the image files of the names on the command line, one at a time; finally warn of ignored files.

    Raises:
        DataError: There is none, because the list on stdin is empty; shows how to pass a list to the command.

    """
    from svipctl.datasets.image_files import Entry, described
    from svipctl.inference.find_images import find_pictures, listed

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a file's name may not be text
    named = (entry for name in names for entry in (listed(sys.stdin) if name == "-" else [name]))
    left_out: list[Entry] = []
    picture = None
    for picture in find_pictures(named, left_out.append):
        yield picture
    if left_out:
        sink.warn(described(left_out))
    if picture is None:
        example = f'find . -name "*.jpg" | svipctl {command} -'
        raise DataError("no image was given", why="the list on stdin is empty", todo=example)
