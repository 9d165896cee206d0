"""Read the published code's info file, `x-<CUB|AWA2|SUN>-data-image.pth`, and compare it with the proposed split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import PARTS, Benchmark, Indices, repeated
from svipctl.datasets.paths import reroot
from svipctl.errors import DataError, shortened
from svipctl.pickles import read_torch

_TOLERANCE = 1e-6  # relative and absolute: a table in float32 is the same


@dataclass(frozen=True)
class Info:
    """Content of the file, with paths below the data set's folder and class names as labels."""

    classes: tuple[str, ...]
    labels: dict[str, dict[str, str]]
    """Part (`trainval`, `test_seen`, `test_unseen`) -> image -> class name."""
    attributes: NDArray[np.float64]
    """(C, K), `ori_attributes`."""
    train_classes: frozenset[str]
    unseen_classes: frozenset[str]


def read_info_file(path: Path, dataset: str) -> Info:
    """Read an info file, written with numpy 1 or 2, and re-root its image paths.

    Raises:
        DataError: The file is missing, damaged, incomplete, or contains anything but plain data.

    """
    todo = "pass x-CUB-data-image.pth (AWA2, SUN) as the published code saves it"
    document = read_torch(path)
    needed = ["allclasses", "ori_attributes", "train_classes", "unseen_classes"]
    needed += [f"{part}_{what}" for part in PARTS for what in ("files", "label")]
    is_dict = isinstance(document, Mapping)
    missing = [key for key in needed if key not in document] if is_dict else []
    if missing or not is_dict:
        why = f"it lacks {', '.join(missing)}" if is_dict else f"it contains a {type(document).__name__}, not a dict"
        raise DataError(f"{path} is not an info file", why=why, todo=todo)
    key = "allclasses"
    try:
        classes = _texts(document[key])
        labels = {}
        for part in PARTS:
            key = f"{part}_files or {part}_label"
            labels[part] = _labelled(document, part, classes, dataset)
        key = "ori_attributes"
        attributes = np.asarray(document[key])
        if attributes.ndim != 2 or attributes.dtype.kind not in "fiu":
            raise ValueError(f"not a table of numbers but {attributes.dtype} of shape {attributes.shape}")
        chosen = []
        for key in ("train_classes", "unseen_classes"):
            chosen.append(_class_names(document[key], classes))
    except DataError as error:
        other = f"pass its data set with --dataset if it is not {dataset}"
        raise DataError(f"{path} cannot be used: {key}", why=str(error), todo=other) from error
    except (TypeError, ValueError, IndexError, OverflowError, RuntimeError) as error:
        raise DataError(f"{path} is not an info file", why=f"{key}: {error}", todo=todo) from error
    return Info(classes, labels, attributes.astype(np.float64), *chosen)


def differences(info: Info, benchmark: Benchmark) -> list[str]:
    """Return a sentence for each difference from the proposed split; missing images are not a difference."""
    found: list[str] = []

    def note(names: Sequence[str], what: str) -> None:
        if names:
            found.append(f"{len(names)} {what}: {shortened(names, 3)}")

    if info.classes != benchmark.classes:
        note(sorted(set(info.classes) ^ set(benchmark.classes)), "classes are in only one of the two")
        if set(info.classes) == set(benchmark.classes):
            found.append("the classes have another order")
    if info.attributes.shape != benchmark.class_attributes.shape:
        found.append(f"the attribute table is {info.attributes.shape}, here {benchmark.class_attributes.shape}")
    elif info.classes == benchmark.classes:
        differs = ~np.isclose(info.attributes, benchmark.class_attributes, _TOLERANCE, _TOLERANCE)
        rows = np.flatnonzero(differs.any(axis=1))  # of values that are not a number too
        note([info.classes[row] for row in rows], "classes have other attributes")
    seen, unseen = (set(benchmark.names_of(part)) for part in (benchmark.seen_classes, benchmark.unseen_classes))
    for which, theirs, ours, others in (
        ("seen", info.train_classes, seen, unseen),
        ("unseen", info.unseen_classes, unseen, seen),
    ):  # a class without any image here is neither
        note(sorted((ours - theirs) | (theirs & others)), f"classes are {which} in only one of the two")
    gone = set(benchmark.missing)
    for part in PARTS:
        indices: Indices = getattr(benchmark, part)
        ours_labels = {benchmark.images[index]: benchmark.classes[benchmark.labels[index]] for index in indices}
        theirs_labels = {file: name for file, name in info.labels[part].items() if file not in gone}
        note(sorted(theirs_labels.keys() ^ ours_labels.keys()), f"images are in {part} in only one of the two")
        both = sorted(theirs_labels.keys() & ours_labels.keys())
        relabelled = [file for file in both if theirs_labels[file] != ours_labels[file]]
        note(relabelled, f"images of {part} have another label")
    return found


def _labelled(document: Mapping[str, Any], part: str, classes: tuple[str, ...], dataset: str) -> dict[str, str]:
    files = [reroot(file, dataset) for file in _texts(document[f"{part}_files"])]
    numbers = np.asarray(document[f"{part}_label"]).ravel()
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"labels are {numbers.dtype}, not whole numbers")
    if len(files) != len(numbers) or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(classes)):
        raise ValueError(f"{part}_files and {part}_label do not match each other or the classes")
    if twice := repeated(files):
        raise ValueError(f"{len(twice)} images appear more than once: {shortened(twice, 3)}")
    return {file: classes[number] for file, number in zip(files, numbers)}


def _texts(values: Any) -> tuple[str, ...]:
    texts = [np.asarray(value).ravel() for value in np.asarray(values, dtype=object).ravel()]
    if not all(text.size == 1 and isinstance(text[0], str) for text in texts):
        raise TypeError("a list of names has entries that are not text")
    return tuple(str(text[0]) for text in texts)


def _class_names(values: Any, classes: tuple[str, ...]) -> frozenset[str]:
    """Return the names of classes that are given by name or by number."""
    flat = np.asarray(values).ravel()
    if flat.dtype.kind in "iuf":
        outside = [number for number in flat.tolist() if number not in range(len(classes))]
        if outside:
            raise ValueError(f"there is no class {outside[0]}: there are {len(classes)}")
        return frozenset(classes[int(number)] for number in flat)
    return frozenset(_texts(values))
