"""List the images below a folder, by one rule for data folders and for folders on the command line.

Files with the ending of an image are images, and so are files that start like one; links are followed. Files that a
system puts into every folder are ignored; everything else is reported with a reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from svipctl.errors import DataError, shortened
from svipctl.files import open_regular

_ENDINGS = (
    ".apng .bmp .dib .gif .jfi .jfif .jif .jpe .jpeg .jpg .mpo .pjp .pjpeg .png .tif .tiff .webp".split()  # noqa: SIM905
)
_NAMED = 5
_UNFINISHED = ("~", "_original", ".bak", ".orig", ".tmp", ".part", ".crdownload")
_JUNK = re.compile(
    r"\._.*|\.DS_Store|\.thumb.*|\.Trash.*|\.git|\.ipynb_checkpoints|\.Spotlight-.*|\.fseventsd|\.TemporaryItems|\.cache"
    r"|__MACOSX|@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information|lost\+found|(eh)?thumbs.*\.db(:encryptable)?"
    r"|desktop\.ini|picasa\.ini|Icon\r",
    re.IGNORECASE,
)
_BEGINNINGS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL
)
"""Beginnings of image files. Not TIFF: raw files of cameras start like it, with a thumbnail as their first image."""


class Entry(NamedTuple):
    """A file or folder in a folder of images."""

    path: Path
    left_out: str = ""
    """Reason why the entry is not an image; empty if it is one."""
    closed: bool = False
    """True for a folder that cannot be listed."""


def entries(folder: Path) -> Iterator[Entry]:
    """Yield the images below a folder and the other files, by name: first those in a folder, then its subfolders.

    Only one folder's names are in memory at a time, and nothing is decoded. Each folder is listed once, even if
    several links lead to it.
    """
    waiting = [folder]
    listed: set[tuple[int, int]] = set()
    while waiting:
        parent = waiting.pop()
        try:
            status = parent.stat()
            with os.scandir(parent) as scan:
                found = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            yield Entry(parent, f"it cannot be listed: {error.strerror}", closed=True)
            continue
        if (status.st_dev, status.st_ino) in listed:
            yield Entry(parent, "a link to a folder that is already listed")
            continue
        listed.add((status.st_dev, status.st_ino))
        folders = []
        for one in found:
            path, is_folder, is_hidden = parent / one.name, _is_folder(one), one.name.startswith(".")
            if _JUNK.fullmatch(one.name) or (is_hidden and not is_folder and not is_image(path)):
                continue
            if is_hidden:
                yield Entry(path, "hidden")
            elif is_folder:
                folders.append(path)
            else:
                yield Entry(path, "" if is_image(path) else "not a supported image")
        waiting += reversed(folders)


def is_image(path: Path) -> bool:
    """Return True if a file is an image by its ending, or by its first bytes."""
    name = path.name.lower()
    if path.suffix.lower() in _ENDINGS:
        return True
    if name.endswith(_UNFINISHED):
        return False
    try:
        with open_regular(path) as file:
            return _BEGINNINGS.match(file.read(18)) is not None
    except (DataError, OSError):
        return False


def described(left_out: Sequence[Entry]) -> str:
    """Return one sentence on the files that are left out of folders."""
    named = [f"{entry.path} ({entry.left_out})" for entry in left_out]
    return f"{len(left_out):,} files or folders are ignored: {shortened(named, _NAMED)}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
