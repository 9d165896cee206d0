"""Find reasons to doubt the scores of a data set: classes with equal attributes, and images in both training and
test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError, shortened
from svipctl.files import file_sha256, open_regular

_BEGINNING = 4096
_SHOWN = 3


def with_doubts(benchmark: Benchmark, *, files: bool) -> Benchmark:
    """Return the data set with warnings of unseen classes that have the attributes of others, and of test images with
    the content of training images.

    Args:
        benchmark: The data set.
        files: Also compare the content of images, which reads the size of each and some files.

    """
    found = equal_classes(benchmark) + (equal_images(benchmark) if files else [])
    return replace(benchmark, warnings=(*benchmark.warnings, *found)) if found else benchmark


def equal_classes(benchmark: Benchmark) -> list[str]:
    """Return a warning if an unseen class has the attributes of another class, so that no image can distinguish them."""
    unseen, of_row = set(benchmark.unseen_classes.tolist()), dict[bytes, list[int]]()
    for label in np.union1d(benchmark.seen_classes, benchmark.unseen_classes).tolist():
        of_row.setdefault((benchmark.class_attributes[label] + 0.0).tobytes(), []).append(label)  # -0 is 0
    alike = [labels for labels in of_row.values() if len(labels) > 1 and unseen & set(labels)]
    named = [" and ".join(repr(benchmark.classes[label]) for label in labels) for labels in alike]
    return (
        [f"classes with equal attributes cannot be distinguished, and some are unseen: {shortened(named, _SHOWN)}"]
        if named
        else []
    )


def equal_images(benchmark: Benchmark) -> list[str]:
    """Return a warning if test images have the content of training images; only files of equal size are read."""
    tests = benchmark.files([*benchmark.test_seen, *benchmark.test_unseen])
    groups: list[_Parts] = [(benchmark.files(benchmark.trainval), tests)]
    for key in (os.path.getsize, _beginning, file_sha256):
        groups = [alike for group in groups for alike in _with_equal(key, benchmark.root, group)]
    named = [f"{trained[0]} and {tested[0]}" for trained, tested in groups]
    if not named:
        return []
    count = sum(len(tested) for _, tested in groups)
    return [f"{count:,} test images are identical to a training image: {shortened(named, _SHOWN)}"]


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


def _beginning(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_BEGINNING)
