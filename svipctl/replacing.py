"""A finished file or folder in the place of an older one: at every moment one of the two is there, whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write a file under, which then takes its place; whatever fails leaves what was there, and nothing else."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Give `new` the name `folder`, for good; what had that name goes only when this is done."""
    previous = _previous(folder)
    _reach_the_disk(new)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    new.rename(folder)
    _reach_the_disk(folder.parent)
    shutil.rmtree(previous, ignore_errors=True)


def resolve_folder(folder: Path) -> Path:
    """The folder, or the older one if the process was killed between taking it away and putting the new one."""
    if folder.exists():
        return folder
    previous = _previous(folder)
    return previous if previous.exists() else folder


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _reach_the_disk(folder: Path) -> None:
    """The names in it; some network file systems keep them without being asked and refuse the question."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
