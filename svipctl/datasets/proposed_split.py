"""Read the proposed split of a benchmark (Xian et al., "Zero-Shot Learning - A Comprehensive Evaluation"): xlsa17's
files.

The keys `train_loc` and `val_loc` of att_splits.mat are never read: they exist in variants that leak test images
(data, section 3). The folds are those of the class lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import FOLDS, PARTS, Indices
from svipctl.datasets.matlab import Variable, read_mat
from svipctl.errors import DataError
from svipctl.text_files import read_lines


@dataclass(frozen=True)
class ProposedSplit:
    """Proposed split of a data set with N images, C classes and K attributes; all indices are 0-based."""

    classes: tuple[str, ...]
    """(C,) names in the order of the attribute matrix, which is not the order of CUB's folder numbers."""
    class_attributes: NDArray[np.float64]
    """(C, K), `original_att` transposed: as published, not normalized."""
    files: tuple[str, ...]
    """(N,) image files as the authors wrote them, sorted; the parts are indices into this list."""
    labels: Indices
    """(N,) rows of `class_attributes`."""
    parts: dict[str, Indices]
    """`trainval`, `test_seen` and `test_unseen`."""
    folds: tuple[tuple[int, ...], ...]
    """Validation classes of each fold."""


def read_proposed_split(folder: Path) -> ProposedSplit:
    """Read `xlsa17/data/<name>/`.

    Raises:
        DataError: A file is missing, not a MATLAB file, lacks a key, or has an invalid index.

    """
    where, listing_file = folder / "att_splits.mat", folder / "res101.mat"
    splits = read_mat(where, ["allclasses_names", "original_att", *(f"{part}_loc" for part in PARTS)])
    listing = read_mat(listing_file, ["image_files", "labels"])
    classes = _names(splits["allclasses_names"], where, "allclasses_names")
    table = _numbers(splits["original_att"], where, "original_att")
    if table.ndim != 2 or table.shape[1] != len(classes):
        why = f"original_att is {table.shape}, with {len(classes)} classes"
        raise DataError(f"{where} contradicts itself", why=why)
    files = _names(listing["image_files"], listing_file, "image_files")
    labels = _indices(listing["labels"], len(classes), listing_file, "labels")
    if len(labels) != len(files):
        why = f"{len(files)} image files, {len(labels)} labels"
        raise DataError(f"{listing_file} contradicts itself", why=why)
    parts = {part: _indices(splits[f"{part}_loc"], len(files), where, f"{part}_loc") for part in PARTS}
    folds = tuple(_fold(folder / f"valclasses{number}.txt", classes) for number in range(1, FOLDS + 1))
    return ProposedSplit(classes, np.ascontiguousarray(table.T), files, labels, parts, folds)


def read_names(path: Path, key: str) -> tuple[str, ...]:
    """Return a variable of a MATLAB file that must be a list of names.

    Raises:
        DataError: The file is missing or damaged, or the variable is not a list of names.

    """
    return _names(read_mat(path, [key])[key], path, key)


def _names(value: Variable, where: Path, key: str) -> tuple[str, ...]:
    if not isinstance(value, tuple):
        raise DataError(f"{where} is damaged", why=f"{key} should be a list of names")
    return value


def _numbers(value: Variable, where: Path, key: str) -> NDArray[np.float64]:
    if isinstance(value, tuple):
        raise DataError(f"{where} is damaged", why=f"{key} should be a table of numbers")
    return value


def _indices(value: Variable, count: int, where: Path, key: str) -> Indices:
    """Return 1-based MATLAB indices into `count` entries as 0-based ones."""
    numbers = _numbers(value, where, key).ravel()
    if not len(numbers) or (numbers != np.floor(numbers)).any() or numbers.min() < 1 or numbers.max() > count:
        raise DataError(f"{where} is damaged", why=f"{key} should contain whole numbers from 1 to {count}")
    return numbers.astype(np.int64) - 1


def _fold(path: Path, classes: tuple[str, ...]) -> tuple[int, ...]:
    listed = set(read_lines(path))
    unknown = sorted(listed - set(classes))
    if unknown:
        raise DataError(f"{path} names classes that are not in att_splits.mat", why=", ".join(unknown[:5]))
    return tuple(sorted(classes.index(name) for name in listed))
