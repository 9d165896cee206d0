"""Define a zero-shot data set: classes with attributes, labelled images, and the split into seen and unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import ConfigError, DataError, shortened

Indices = NDArray[np.int64]
PARTS = ("trainval", "test_seen", "test_unseen")
FOLDS = 3
_HELD_OUT = 0.2
_MAGNITUDES = (1e-30, 1e30)
"""Largest absolute values of attribute vectors whose length can be computed in every precision."""


def magnitude_problem(vector: NDArray[np.float64]) -> str:
    """Return what makes the direction of an attribute vector (K,) meaningless: zeros or extreme values, else ""."""
    largest = float(np.abs(vector).max(initial=0))
    if not largest:
        return "only zero attributes"
    least, most = _MAGNITUDES
    return "" if least <= largest <= most else f"attributes of up to {largest:.0e}: rescale the values of all classes"


def repeated(entries: Iterable[Any]) -> list[Any]:
    """Return the entries that occur more than once, sorted."""
    return sorted((entry for entry, count in Counter(entries).items() if count > 1), key=str)


def spread(indices: Indices, count: int) -> Indices:
    """Return `count` of the indices, evenly spread over their order; all of them if there are fewer."""
    if len(indices) <= count:
        return indices
    chosen: Indices = indices[np.linspace(0, len(indices) - 1, count).round().astype(int)]
    return chosen


@dataclass(frozen=True)
class Split:
    """Training images, scored images, and classes of a split, as indices into the benchmark."""

    name: str
    """`test`, or `fold-1` ... for a development run."""
    train: Indices
    seen: Indices
    """Scored images of seen classes, none of them in `train`."""
    unseen: Indices
    """Scored images of unseen classes."""
    seen_classes: Indices
    unseen_classes: Indices

    @property
    def scored(self) -> Indices:
        """Images to score: those of seen classes, then those of unseen classes."""
        return np.concatenate([self.seen, self.unseen])

    @property
    def classes(self) -> Indices:
        """Seen and unseen classes, ascending: the candidates of generalized zero-shot learning."""
        return np.union1d(self.seen_classes, self.unseen_classes)


@dataclass(frozen=True)
class Benchmark:
    """N images of C classes with K attributes, under one proposed split.

    Raises:
        DataError: On construction; lists every contradiction.

    """

    name: str
    root: Path
    """Folder that image and mask paths are relative to."""
    classes: tuple[str, ...]
    attributes: tuple[str, ...]
    class_attributes: NDArray[np.float64]
    """(C, K), as published: not normalized."""
    images: tuple[str, ...]
    labels: Indices
    """(N,) rows of `class_attributes`."""
    trainval: Indices
    test_seen: Indices
    test_unseen: Indices
    folds: tuple[tuple[int, ...], ...] = ()
    """Validation classes of each class-disjoint fold of the seen classes."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Attribute columns of each attribute group."""
    masks: tuple[str, ...] = ()
    """Mask of the object in each image; empty without masks."""
    boxes: NDArray[np.float64] | None = None
    """(N, 4) left, top, width and height of the object in pixels of the published image; None without boxes."""
    published_side: int | None = None
    """Longest side of the published images in pixels if those on the disk are resized copies."""
    copied_side: int = 0
    """Shorter side of these copies, 0 if it varies; smaller images were not resized."""
    missing: tuple[str, ...] = ()
    """Images of the benchmark that are missing on the disk; all other fields exclude them."""
    upright: bool = True
    """True if photographs are rotated by their EXIF orientation; the published sets are read without rotation."""
    warnings: tuple[str, ...] = field(default=(), repr=False)
    """Warnings about ignored files and doubtful scores, to be shown once to the user."""
    problems: tuple[str, ...] = field(default=(), repr=False)
    """Contradictions found while reading the files; they are reported together with those found here."""

    def __post_init__(self) -> None:
        problems = [*self.problems, *self._contradictions()]
        if problems:
            raise DataError(
                f"the data set in {self.root} cannot be used: {len(problems)} problem{'s' if len(problems) > 1 else ''}",
                why="- " + shortened(problems, 20, "\n- "),
                todo="fix the files named above (docs/own-data.md describes the layout)",
            )

    def __repr__(self) -> str:
        counts = f"{len(self.images)} images of {len(self.classes)} classes with {len(self.attributes)} attributes"
        return f"{type(self).__name__}({self.name!r} in {str(self.root)!r}: {counts})"

    @property
    def seen_classes(self) -> Indices:
        """Classes with training images, ascending."""
        return np.unique(self.labels[self.trainval])

    @property
    def unseen_classes(self) -> Indices:
        """Classes of the unseen test images, ascending."""
        return np.unique(self.labels[self.test_unseen])

    @property
    def word_vectors_file(self) -> Path:
        """File in which `w2v build` saves the attributes' word vectors."""
        return self.root / "word_vectors.npz"

    def image_path(self, index: int) -> Path:
        """Return the file of an image."""
        return self.root / self.images[index]

    def files(self, indices: Iterable[int]) -> list[str]:
        """Return the files of images, relative to the folder."""
        return [self.images[index] for index in indices]

    def names_of(self, labels: Iterable[int]) -> list[str]:
        """Return the names of classes."""
        return [self.classes[label] for label in labels]

    def positions(self, files: Iterable[str]) -> Indices:
        """Return the indices of images by file name."""
        place = {file: index for index, file in enumerate(self.images)}
        return np.array([place[file] for file in files], dtype=np.int64)

    def split(self, fold: int | None = None) -> Split:
        """Return the proposed split: train on all of trainval, score the test images; or that of a development run.

        In a development split (protocols, validation) all images are from trainval, test is not used. A fifth of each
        remaining class's images is for seen validation, chosen by a shuffle that depends on the class only.

        Args:
            fold: 1, 2 or 3 for a development split.

        """
        if fold is None:
            parts = self.trainval, self.test_seen, self.test_unseen
            return Split("test", *parts, self.seen_classes, self.unseen_classes)
        if not 1 <= fold <= len(self.folds):
            raise ConfigError(
                f"{self.name} has no fold {fold}",
                why=f"it has folds 1 to {len(self.folds)}" if self.folds else "it has too few seen classes for folds",
                todo="" if self.folds else "write folds.csv (class,fold), or train without --fold",
            )
        validation_classes = np.array(sorted(self.folds[fold - 1]), dtype=np.int64)
        labels = self.labels[self.trainval]
        unseen = self.trainval[np.isin(labels, validation_classes)]
        train, seen = [], []
        for label in np.setdiff1d(labels, validation_classes):
            images = self.trainval[labels == label]
            shuffled = np.random.default_rng([2018, int(label)]).permutation(images)
            count = max(1, round(_HELD_OUT * len(images))) if len(images) > 1 else 0
            train.append(shuffled[count:])
            seen.append(shuffled[:count])
        train_images, scored = np.sort(np.concatenate(train)), np.sort(np.concatenate(seen))
        seen_classes = np.unique(self.labels[train_images])
        return Split(f"fold-{fold}", train_images, scored, unseen, seen_classes, validation_classes)

    def _contradictions(self) -> list[str]:
        """Return every contradiction that would make the scores of this benchmark meaningless."""
        problems = []
        if twice := repeated(self.classes):
            problems.append(f"two classes have the same name: {shortened(twice, 5)}")
        for row, name in zip(self.class_attributes, self.classes):
            if not np.isfinite(row).all():
                bad = self.attributes[int(np.flatnonzero(~np.isfinite(row))[0])]
                problems.append(f"class {name!r} has no finite value for attribute {bad!r}")
            elif problem := magnitude_problem(row):
                problems.append(f"class {name!r} has {problem}")
        for title, part in (("train", self.trainval), ("seen test", self.test_seen), ("unseen test", self.test_unseen)):
            if not len(part):
                problems.append(f"there is no {title} image")
        seen = set(self.labels[self.trainval].tolist())
        for number, fold in enumerate(self.folds, 1):
            if not fold or not seen - set(fold):
                which = "every" if fold else "no"
                problems.append(f"fold {number} holds {which} seen class: there is nothing to compare")
        both = np.intersect1d(self.labels[self.trainval], self.labels[self.test_unseen])
        problems += [f"class {self.classes[label]!r} is both seen and unseen" for label in both]
        untrained = np.setdiff1d(self.labels[self.test_seen], self.labels[self.trainval])
        problems += [f"class {self.classes[label]!r} has seen test images but none to train on" for label in untrained]
        shared = np.intersect1d(self.trainval, np.concatenate([self.test_seen, self.test_unseen]))
        problems += [f"image {self.images[index]} is in training and in test" for index in shared]
        return problems
