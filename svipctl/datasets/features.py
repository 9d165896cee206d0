"""Cache features of images on disk: one row per image, computed once by a frozen part of a network.

The cache is a store (`svipctl.datasets.store`) in the folder `features/<name>` next to the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.store import Store, StorePlan, Written, fill_store
from svipctl.errors import DataError
from svipctl.types import ProgressCallback

_ADVICE = "free some space, or disable the cache: --set data.keep_features=false"


def plan_features(
    folder: Path, stamp: Mapping[str, Any], files: Sequence[str], shape: Sequence[int], dtype: torch.dtype
) -> StorePlan:
    """Plan a store of features before they are computed.

    Args:
        folder: Folder of the finished features.
        stamp: Everything that the features depend on, in JSON types.
        files: Images, in the order of the rows.
        shape: Shape of a row.
        dtype: Type of the numbers.

    """
    found = {"stamp": dict(stamp), "shape": list(shape), "dtype": str(dtype).removeprefix("torch.")}
    row = (dtype.itemsize * math.prod(shape),)
    return StorePlan(folder, found, tuple(files), (row,) * len(files), "features", _ADVICE)


class Features:
    """Features of all images of a store, read by file."""

    def __init__(self, store: Store) -> None:
        self._store, self._shape = store, store.index["shape"]
        self._dtype: torch.dtype = getattr(torch, store.index["dtype"])

    def gather(self, files: Sequence[str], *, pin_memory: bool = False) -> Tensor:
        """Return the rows of B images, (B, *shape)."""
        rows = torch.empty((len(files), *self._shape), dtype=self._dtype, pin_memory=pin_memory)
        self._store.gather(files, rows.view(len(files), -1).view(torch.uint8).numpy())
        return rows


class TableFeatures:
    """Features of images in memory, one vector each."""

    def __init__(self, files: Sequence[str], table: NDArray[np.float32]) -> None:
        self._row = {file: row for row, file in enumerate(files)}
        self._table = torch.from_numpy(table)

    def gather(self, files: Sequence[str], *, pin_memory: bool = False) -> Tensor:
        """Return the rows of B images, (B, 1, 1, D)."""
        rows = self._table[[self._row[file] for file in files]][:, None, None]
        return rows.pin_memory() if pin_memory else rows


@dataclass(frozen=True)
class StemFeatures:
    """Features of the images of a data set in one geometry, and of their mirror images where training mirrors."""

    plain: Features | TableFeatures
    mirrored: Features | TableFeatures | None = None

    def gather(self, files: Sequence[str], mirror: Tensor | None = None, *, pin_memory: bool = False) -> Tensor:
        """Return the feature maps (B, channels, rows, columns) of these images.

        Args:
            files: As the data set names them.
            mirror: (B,) True for images that are mirrored; none by default.
            pin_memory: For a GPU, so that the copy does not wait.

        """
        rows = self.plain.gather(files, pin_memory=pin_memory)
        if self.mirrored is not None and mirror is not None and mirror.any():
            rows[mirror] = self.mirrored.gather([file for file, is_mirrored in zip(files, mirror) if is_mirrored])
        return rows.permute(0, 3, 1, 2)


def find_features(plan: StorePlan) -> Features | None:
    """Return the features if they are complete on disk, for the same images and network; else None."""
    store = plan.find()
    return Features(store) if store else None


def make_features(
    plan: StorePlan,
    compute: Callable[[Sequence[str]], Iterable[Tensor]],
    progress: ProgressCallback | None = None,
) -> Features:
    """Return the features, computed now unless they are on disk; outdated features are replaced.

    A second process waits for the first and uses its features. Interrupted work continues after the last finished
    batch.

    Args:
        plan: Plan of `plan_features`.
        compute: Function that yields batches (B, *shape) of the given files, in their order.
        progress: Called with images done and images in total.

    Raises:
        ResourceError: The disk is too small or full.
        ConfigError: The folder cannot be written.
        DataError: An image does not decode.

    """

    def write(missing: list[int]) -> Iterator[Written]:
        rows = iter(missing)
        dtype: torch.dtype = getattr(torch, plan.stamp["dtype"])
        for batch in compute([plan.files[row] for row in missing]) if missing else ():
            content = batch.to("cpu", dtype).contiguous().view(len(batch), -1).view(torch.uint8)
            yield plan.write(list(islice(rows, len(batch))), content.numpy())

    fill_store(plan, write, on_wait=lambda: None, progress=progress)
    found = find_features(plan)  # another process may have replaced them since, for other images
    if found is None:
        raise DataError(f"the features in {plan.folder} cannot be read", todo="run the command again")
    return found
