"""Resolve the images of a command line: files, folders, patterns, or a list on stdin."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.errors import DataError

if TYPE_CHECKING:
    from svipctl.datasets.image_files import Entry

ARGUMENT_HELP = "Files, folders, quoted patterns, or - for a list on stdin."


def check_named(names: Sequence[str]) -> None:
    """Raise DataError unless one of the names is a file, a folder, a quoted pattern, or -."""
    if not any(name == "-" or os.path.exists(name) or glob.has_magic(name) for name in names):  # noqa: PTH110 (any length)
        raise DataError(f"there is no image {', '.join(names)}", todo="pass files, folders, or quoted patterns")


def named_pictures(names: Sequence[str], left_out: Callable[[Entry], object]) -> Iterator[Path]:
    """Yield the image files of the names, one at a time.

    Args:
        names: Names on the command line.
        left_out: Called with each entry of a folder that is not an image.

    """
    from svipctl.inference.find_images import find_pictures, listed

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a file's name may not be text
    named = (entry for name in names for entry in (listed(sys.stdin) if name == "-" else [name]))
    return find_pictures(named, left_out)
