"""Features of images kept on the disk: one row an image, made once by a network part that is not trained.

A kept set is a folder `features/<name>` beside the images with `rows.bin` and `index.json`. It has its name only when
it is whole, and it is used only while everything its rows depend on is as it was.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svipctl.datasets.byte_file import ByteFile
from svipctl.errors import DataError, ResourceError, explained_disk_errors
from svipctl.files import file_lock
from svipctl.types import ProgressCallback

FORMAT = 1
ROWS, INDEX = "rows.bin", "index.json"


@dataclass(frozen=True)
class FeaturePlan:
    """A set of features before it is made."""

    folder: Path
    """Where it is going to be."""
    stamp: Mapping[str, Any]
    """All that its rows depend on, as JSON has it."""
    files: tuple[str, ...]
    """Its images, in the order of its rows."""
    shape: tuple[int, ...]
    """Of a row."""
    dtype: torch.dtype

    @property
    def head(self) -> dict[str, Any]:
        """What the index says before the files."""
        return {
            "format": FORMAT,
            "stamp": dict(self.stamp),
            "shape": list(self.shape),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @property
    def bytes(self) -> int:
        """Of all rows."""
        return len(self.files) * self.dtype.itemsize * torch.Size(self.shape).numel()


class Features:
    """A whole set of features, read by position."""

    def __init__(self, plan: FeaturePlan) -> None:
        self.plan = plan
        self._row = {file: row for row, file in enumerate(plan.files)}
        self._rows = ByteFile(plan.folder / ROWS)
        self._bytes = plan.bytes // len(plan.files)

    def gather(self, files: Sequence[str], *, pin_memory: bool = False) -> Tensor:
        """The rows of these images (B, *shape)."""
        rows = torch.empty((len(files), *self.plan.shape), dtype=self.plan.dtype, pin_memory=pin_memory)
        for file, place in zip(files, rows.view(len(files), -1).view(torch.uint8).numpy()):
            self._rows.read_into(place, self._row[file] * self._bytes)
        return rows


def find_features(plan: FeaturePlan) -> Features | None:
    """The set if it is there, whole, and of the same images and network; else None."""
    try:
        index = json.loads((plan.folder / INDEX).read_text(encoding="utf-8"))
        size = (plan.folder / ROWS).stat().st_size
    except (OSError, ValueError):
        return None
    if index != plan.head | {"files": list(plan.files)} or size != plan.bytes or not plan.files:
        return None
    return Features(plan)


def make_features(plan: FeaturePlan, rows: Iterable[Tensor], progress: ProgressCallback | None = None) -> Features:
    """The set, made now unless another process has made it meanwhile; one that is out of date is replaced.

    Args:
        plan: What to make.
        rows: Batches (B, *shape) in the order of the files; not touched when there is nothing to do.
        progress: Called with images done and images in all.

    Raises:
        ResourceError: The disk is too small or full.
        ConfigError: The folder cannot be written.
        DataError: An image does not decode.

    """
    place = plan.folder.parent
    with explained_disk_errors(f"features in {place}"):
        place.mkdir(exist_ok=True)
        with file_lock(place, on_wait=lambda: None):  # the second of two runs waits and finds the features
            found = find_features(plan)
            if found is None:
                _write(plan, rows, progress)
                found = find_features(plan)
    if found is None:
        raise DataError(f"the features in {plan.folder} cannot be read back", todo="run the command again")
    return found


def _write(plan: FeaturePlan, rows: Iterable[Tensor], progress: ProgressCallback | None) -> None:
    unfinished = plan.folder.with_name(f".{plan.folder.name}.new")
    for old in (unfinished, plan.folder):
        shutil.rmtree(old, ignore_errors=True)
    free = shutil.disk_usage(plan.folder.parent).free
    if plan.bytes > free:
        raise ResourceError(
            f"the stem's features need {plan.bytes / 2**30:.2f} GiB on the disk",
            why=f"{free / 2**30:.2f} GiB are free at {plan.folder.parent}",
            todo="free some space, or compute them in each epoch: --set data.keep_features=false",
        )
    unfinished.mkdir()
    try:
        done = 0
        with (unfinished / ROWS).open("wb") as file:
            for batch in rows:
                file.write(batch.to("cpu", plan.dtype).contiguous().view(torch.uint8).numpy().data)
                done += len(batch)
                if progress:
                    progress(done, len(plan.files))
            _reach_the_disk(file.fileno(), file.flush)
        with (unfinished / INDEX).open("w", encoding="utf-8") as text:
            json.dump(plan.head | {"files": list(plan.files)}, text)
            _reach_the_disk(text.fileno(), text.flush)
        unfinished.rename(plan.folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _reach_the_disk(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)
