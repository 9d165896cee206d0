"""Room on the disk: what is free, and what fetching needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from svipctl.datasets.fetch.steps import Step
from svipctl.errors import ResourceError

SPARE = 2**26
"""Bytes of disk to leave free."""


def require_room(folder: Path, needed: int, task: str) -> None:
    """Check the free space of a disk.

    Raises:
        ResourceError: It has less than `needed` bytes.

    """
    free = free_room(folder)
    if needed > free:
        raise ResourceError(
            f"{folder} has room for {free:,} bytes, {task}",
            todo="free some space, or choose another place with --data-dir",
        )


def free_room(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is on, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def bytes_needed(steps: Sequence[Step], data_dir: Path, *, keep_archives: bool = False) -> int:
    """Return the approximate number of bytes that the disk needs for steps, without what has arrived already."""
    to_come, unpacked = {}, {}
    for step in steps:
        archive = step.source or data_dir / ".archives" / step.asset.file
        part = archive.with_name(f"{archive.name}.part")
        size = archive.stat().st_size if archive.exists() else step.asset.bytes_to_fetch
        if step.state == "download":
            to_come[step.asset.file] = max(0, size - (part.stat().st_size if part.exists() else 0))
        if not step.asset.keep:  # photographs do not get larger; of the other archives little is kept
            unpacked[step.asset.file] = size
    at_once = sum(to_come.values()) if keep_archives else max(to_come.values(), default=0)
    return at_once + sum(unpacked.values())
