"""Packing: the deterministic part of a transform done once for all images of a benchmark (see `svipctl.datasets.packed`).

Blocks of images are written in any order into one file of the full length; a block is recorded once it is on the disk.
Whatever stops the work, the next call goes on from the record. The pack gets its name when it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Literal

from svipctl.datasets.pack_blocks import write_blocks
from svipctl.datasets.pack_plan import PLAN, RECORD, PackPlan
from svipctl.datasets.packed import INDEX, PIXELS, stamp_of
from svipctl.errors import DataError, ResourceError, explained_disk_errors
from svipctl.files import atomic_write_text, file_lock, sync
from svipctl.types import ProgressCallback

Outcome = Literal["fresh", "packed", "resumed"]


def pack(plan: PackPlan, *, workers: int = 1, force: bool = False, progress: ProgressCallback | None = None) -> Outcome:
    """Make a pack unless it is there and fresh.

    Args:
        plan: From `svipctl.datasets.pack_plan.plan_pack`.
        workers: Processes that decode.
        force: Begin anew, whatever is there.
        progress: Called with images done and images in all.

    Returns:
        What had to be done.

    Raises:
        DataError: An image is missing, does not decode, or changes meanwhile.
        ResourceError: The disk is too small or full.
        ConfigError: The folder cannot be written, or another process is packing.

    """
    if not force and plan.is_fresh():
        return "fresh"
    place = plan.folder.parent
    with explained_disk_errors(f"packed pixels in {place}"):
        place.mkdir(exist_ok=True)
        with file_lock(place, busy=f"another process is packing into {place}"):
            _check_room(plan, force=force)
            _remove(plan.folder)
            resumed = not force and plan.is_begun()
            if not resumed:
                _remove(plan.unfinished)
                _begin(plan)
            if not (plan.unfinished / INDEX).exists():
                _write(plan, workers, progress)
            _publish(plan)
    return "resumed" if resumed else "packed"


def _check_room(plan: PackPlan, *, force: bool) -> None:
    needed, free = plan.bytes_to_write(force=force), shutil.disk_usage(plan.folder.parent).free
    if needed > free:
        raise ResourceError(
            f"packing {plan.blocks.geometry.key} needs {needed / 2**30:.2f} GiB more on the disk",
            why=f"{free / 2**30:.2f} GiB are free at {plan.folder.parent}",
            todo="free some space, or choose another --data-dir; training works without packed pixels",
        )


def _begin(plan: PackPlan) -> None:
    """A file of the full length, and what it is going to be."""
    plan.unfinished.mkdir()
    with (plan.unfinished / PIXELS).open("wb") as file:
        file.truncate(plan.bytes)
    atomic_write_text(plan.unfinished / PLAN, json.dumps(plan.head))


def _write(plan: PackPlan, workers: int, progress: ProgressCallback | None) -> None:
    """Write and record what is missing; then the index, which says that all is there."""
    blocks, bounds, checksums = plan.blocks, plan.blocks.bounds(), plan.recorded()
    done = sum(bounds[number][1] - bounds[number][0] for number in checksums)
    with (plan.unfinished / RECORD).open("ab") as record:
        record.truncate(sum(len(_line(number, checksum)) for number, checksum in checksums.items()))  # a torn line

        def finished(number: int, checksum: str) -> None:
            nonlocal done
            record.write(_line(number, checksum))
            record.flush()
            os.fsync(record.fileno())
            checksums[number] = checksum
            done += bounds[number][1] - bounds[number][0]
            if progress:
                progress(done, len(blocks.files))

        missing = [number for number in range(len(bounds)) if number not in checksums]
        if missing:
            write_blocks(blocks, plan.unfinished / PIXELS, missing, workers, finished)
    if stamp_of(plan.benchmark, blocks.geometry) != plan.stamp:
        raise DataError("images have changed while they were packed", todo="run the command again")
    index = plan.head | {"files": blocks.files, "heights": blocks.heights, "widths": blocks.widths}
    index["checksums"] = [checksums[number] for number in range(len(bounds))]
    atomic_write_text(plan.unfinished / INDEX, json.dumps(index))


def _line(number: int, checksum: str) -> bytes:
    return f"{number} {checksum}\n".encode()


def _publish(plan: PackPlan) -> None:
    for name in (PLAN, RECORD):
        (plan.unfinished / name).unlink(missing_ok=True)
    sync(plan.unfinished)
    plan.unfinished.rename(plan.folder)
    sync(plan.folder.parent)


def _remove(folder: Path) -> None:
    """Delete a pack, its index first: what an interruption leaves does not look like one."""
    (folder / INDEX).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
