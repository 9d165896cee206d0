"""Find reasons to doubt the scores of a data set: classes with equal attributes, and images in both training and
test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError, shortened
from svipctl.files import file_sha256, open_regular

_BEGINNING = 4096
_SHOWN = 3


def equal_classes(
    classes: Sequence[str], class_attributes: NDArray[np.float64], used: Collection[int], unseen: AbstractSet[int]
) -> list[str]:
    """Return a warning if an unseen class has the attributes of another class, so that no image can distinguish them.

    Args:
        classes: Names of the C classes.
        class_attributes: (C, K).
        used: Classes with images.
        unseen: Unseen classes among them.

    """
    of_row: dict[bytes, list[int]] = {}
    for label in sorted(used):
        of_row.setdefault((class_attributes[label] + 0.0).tobytes(), []).append(label)  # -0 is 0
    alike = [labels for labels in of_row.values() if len(labels) > 1 and unseen & set(labels)]
    named = [" and ".join(repr(classes[label]) for label in labels) for labels in alike]
    return [f"classes with equal attributes, of which one is unseen: {shortened(named, _SHOWN)}"] if named else []


def equal_files(root: Path, training: Sequence[str], test: Sequence[str]) -> list[str]:
    """Return a warning if files of training and test have the same content; only files of equal size are read."""
    groups: list[_Parts] = [(training, test)]
    for key in (_size, _beginning, file_sha256):
        groups = [alike for group in groups for alike in _with_equal(key, root, group)]
    named = [f"{trained[0]} and {tested[0]}" for trained, tested in groups]
    if not named:
        return []
    count = sum(len(tested) for _, tested in groups)
    return [f"{count:,} test images have the content of a training image: {shortened(named, _SHOWN)}"]


_Parts = tuple[Sequence[str], Sequence[str]]
"""Files of training and of test."""


def _with_equal(key: Callable[[Path], object], root: Path, group: _Parts) -> list[_Parts]:
    """Divide files by a key, and return the divisions with files of both parts; unreadable files have no key."""
    divided: dict[object, tuple[list[str], list[str]]] = {}
    for part, files in enumerate(group):
        for file in files:
            with suppress(OSError, DataError):  # reported when the file is decoded
                divided.setdefault(key(root / file), ([], []))[part].append(file)
    return [parts for parts in divided.values() if all(parts)]


def _size(path: Path) -> int:
    return path.stat().st_size


def _beginning(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_BEGINNING)
