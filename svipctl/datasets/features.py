"""Features of images on disk: one row for each image, computed once by a part of a network that is not trained.

They are a store (`svipctl.datasets.store`) in the folder `features/<name>` next to the images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svipctl.datasets.store import Store, StorePlan, Written, fill_store
from svipctl.errors import DataError
from svipctl.types import ProgressCallback

_ADVICE = "free some space, or compute them in each epoch: --set data.keep_features=false"


@dataclass(frozen=True)
class FeaturePlan:
    """Features before they are computed."""

    folder: Path
    """Folder of the finished features."""
    stamp: Mapping[str, Any]
    """All that the features depend on, in types of JSON."""
    files: tuple[str, ...]
    """Images, in the order of the rows."""
    shape: tuple[int, ...]
    """Shape of a row."""
    dtype: torch.dtype

    @cached_property
    def store(self) -> StorePlan:
        """Plan of the store."""
        dtype = str(self.dtype).removeprefix("torch.")
        stamp = {"stamp": dict(self.stamp), "shape": list(self.shape), "dtype": dtype}
        row = (self.dtype.itemsize * torch.Size(self.shape).numel(),)
        return StorePlan(self.folder, stamp, self.files, (row,) * len(self.files), "features", _ADVICE)


class Features:
    """Features of all images of a plan, read by file."""

    def __init__(self, plan: FeaturePlan, store: Store) -> None:
        self.plan = plan
        self._store = store

    def gather(self, files: Sequence[str], *, pin_memory: bool = False) -> Tensor:
        """Return the rows of B images, (B, *shape)."""
        rows = torch.empty((len(files), *self.plan.shape), dtype=self.plan.dtype, pin_memory=pin_memory)
        self._store.gather(files, rows.view(len(files), -1).view(torch.uint8).numpy())
        return rows


def find_features(plan: FeaturePlan) -> Features | None:
    """Return the features if they are on disk, whole, and of the same images and network; else None."""
    store = plan.store.find()
    return Features(plan, store) if store else None


def make_features(
    plan: FeaturePlan,
    compute: Callable[[Sequence[str]], Iterable[Tensor]],
    progress: ProgressCallback | None = None,
) -> Features:
    """Return the features, computed now unless they are on disk; those that are out of date are replaced.

    A second process waits for the first and finds its features. Interrupted work is continued after the last finished
    batch.

    Args:
        plan: The features to compute.
        compute: Yields batches (B, *shape) of the files it is called with, in their order.
        progress: Called with images done and images in all.

    Raises:
        ResourceError: The disk is too small or full.
        ConfigError: The folder cannot be written.
        DataError: An image does not decode.

    """

    def write(missing: list[int]) -> Iterator[Written]:
        rows = iter(missing)
        for batch in compute([plan.files[row] for row in missing]) if missing else ():
            content = batch.to("cpu", plan.dtype).contiguous().view(len(batch), -1).view(torch.uint8)
            yield plan.store.write(list(islice(rows, len(batch))), content.numpy())

    fill_store(plan.store, write, on_wait=lambda: None, progress=progress)
    found = find_features(plan)
    if found is None:
        raise DataError(f"the features in {plan.folder} cannot be read", todo="run the command again")
    return found
