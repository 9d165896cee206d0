"""What a zero-shot benchmark is: classes with attributes, labelled images, and who may be seen when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import ConfigError, DataError, shortened

Indices = NDArray[np.int64]
PARTS = ("trainval", "test_seen", "test_unseen")
FOLDS = 3


@dataclass(frozen=True)
class Split:
    """Which images train and which are scored, and among which classes. All are indices into the benchmark."""

    name: str
    """`test`, or `fold-1` ... of a development run."""
    train: Indices
    seen: Indices
    """Scored images of seen classes, none of them in `train`."""
    unseen: Indices
    """Scored images of unseen classes."""
    seen_classes: Indices
    unseen_classes: Indices

    @property
    def classes(self) -> Indices:
        """Seen and unseen classes, ascending: the candidates of generalised zero-shot learning."""
        return np.union1d(self.seen_classes, self.unseen_classes)


@dataclass(frozen=True)
class Benchmark:
    """N images of C classes with K attributes, under one proposed split.

    Raises:
        DataError: On construction, listing every contradiction found.

    """

    name: str
    root: Path
    """Folder that image and mask paths are relative to."""
    classes: tuple[str, ...]
    attributes: tuple[str, ...]
    class_attributes: NDArray[np.float64]
    """(C, K), as published: not normalised."""
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
    """Mask of the object in each image, where there are masks."""
    boxes: NDArray[np.float64] | None = None
    """(N, 4) left, top, width and height of the object, in pixels of the published image, where there are boxes."""
    published_side: int | None = None
    """Longest side of the published images in pixels, where those on the disk are copies of another size."""
    copied_side: int = 0
    """Shorter side of these copies, 0 if they have none in common; what is smaller was never made smaller."""
    missing: tuple[str, ...] = ()
    """Images of the benchmark that are not on the disk; every other field leaves them out."""
    word_vectors_file: Path | None = None
    """Where `w2v build` puts the attributes' word vectors."""
    upright: bool = True
    """True if photographs are rotated as their EXIF orientation says; the published sets are read as they are stored."""
    warnings: tuple[str, ...] = field(default=(), repr=False)
    """Warnings of what is left out and of what makes scores doubtful; show them once to whoever uses the data set."""
    problems: tuple[str, ...] = field(default=(), repr=False)
    """Contradictions already found by whoever read the files; reported together with those found here."""

    def __post_init__(self) -> None:
        problems = [*self.problems, *self._contradictions()]
        if problems:
            raise DataError(
                f"the data set in {self.root} cannot be used: {len(problems)} problem{'s' if len(problems) > 1 else ''}",
                why="- " + shortened(problems, 20, "\n- "),
                todo="correct the files named above (README, `Your own data`, has the layout)",
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

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self.root / self.images[index]

    def positions(self, files: Iterable[str]) -> Indices:
        """Return the indices of images by file name."""
        place = {file: index for index, file in enumerate(self.images)}
        return np.array([place[file] for file in files], dtype=np.int64)

    def test_split(self) -> Split:
        """The proposed split: train on all of trainval, score the test images."""
        return Split("test", self.trainval, self.test_seen, self.test_unseen, self.seen_classes, self.unseen_classes)

    def split(self, fold: int | None) -> Split:
        """What a run is trained and scored on: a fold of a development run, or the proposed split."""
        return self.test_split() if fold is None else self.fold_split(fold)

    def fold_split(self, fold: int, *, held_out: float = 0.2) -> Split:
        """Development split (protocols, validation): everything comes from trainval, test is untouched.

        Args:
            fold: 1, 2 or 3.
            held_out: Share of each remaining class's images kept for seen validation, chosen by a shuffle that depends on the class only.

        """
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
            count = max(1, round(held_out * len(images))) if len(images) > 1 else 0
            train.append(shuffled[count:])
            seen.append(shuffled[:count])
        train_images = np.sort(np.concatenate(train))
        return Split(
            f"fold-{fold}",
            train_images,
            np.sort(np.concatenate(seen)),
            unseen,
            np.unique(self.labels[train_images]),
            validation_classes,
        )

    def _contradictions(self) -> list[str]:
        """Everything that would make a number from this benchmark meaningless."""
        problems = []
        repeated = sorted(name for name, count in Counter(self.classes).items() if count > 1)
        if repeated:
            problems.append(f"two classes have the same name: {shortened(repeated, 5)}")
        for row, name in zip(self.class_attributes, self.classes):
            if not np.isfinite(row).all():
                bad = self.attributes[int(np.flatnonzero(~np.isfinite(row))[0])]
                problems.append(f"class {name!r} has no finite value for attribute {bad!r}")
            elif not row.any():
                problems.append(f"class {name!r} has only zero attributes")
        for title, part in (("train", self.trainval), ("seen test", self.test_seen), ("unseen test", self.test_unseen)):
            if not len(part):
                problems.append(f"there is no {title} image")
        seen = set(self.labels[self.trainval].tolist())
        for number, fold in enumerate(self.folds, 1):
            if not fold or not seen - set(fold):
                problems.append(
                    f"fold {number} holds {'every' if fold else 'no'} seen class: nothing is left to compare"
                )
        both = np.intersect1d(self.labels[self.trainval], self.labels[self.test_unseen])
        problems += [f"class {self.classes[label]!r} is both seen and unseen" for label in both]
        untrained = np.setdiff1d(self.labels[self.test_seen], self.labels[self.trainval])
        problems += [f"class {self.classes[label]!r} has seen test images but none to train on" for label in untrained]
        shared = np.intersect1d(self.trainval, np.concatenate([self.test_seen, self.test_unseen]))
        problems += [f"image {self.images[index]} is in training and in test" for index in shared]
        return problems
