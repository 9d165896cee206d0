"""Read a data set of your own: a folder with images, a table of attributes, and a split.

    FOLDER/
      images/<class>/<image>.jpg     one folder per class; images in its subfolders belong to the class too
      attributes.csv                 class, then one column per attribute; optional second row with group names
      split.csv                      image,split with trainval, test_seen, test_unseen or unused
      unseen.txt                     instead of split.csv: the unseen classes, one per line
      masks/<class>/<image>.png      optional, white where the object is
      folds.csv                      optional, class,fold: the seen classes in three development folds
      word_vectors.npz               made by `svipctl w2v build FOLDER`

With `unseen.txt`, every fifth image of a seen class (after a shuffle that depends on the names only) is a seen
test image. Without `folds.csv` the seen classes are divided among three folds in the same way.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from svipctl.datasets.benchmark import FOLDS, PARTS, Benchmark, Indices, repeated
from svipctl.datasets.csv_rows import csv_rows, is_group_row, number
from svipctl.datasets.image_files import Entry, described, entries
from svipctl.datasets.look_alikes import with_doubts
from svipctl.errors import DataError, nearest, shortened
from svipctl.files import is_text
from svipctl.text_files import read_lines, same_spelling

_EXPLAINED = 20  # problems with a hint: further ones have none, because each hint compares a name with all others
T = TypeVar("T")
UNUSED = "unused"
"""Value of `split.csv` for an image that is not used."""


def open_folder(root: Path, name: str | None = None, *, with_images: bool = True) -> Benchmark:
    """Read and validate a data folder.

    Args:
        root: The folder described above.
        name: Name of the data set; the folder's name by default.
        with_images: False if the images are not read: without a folder `images`, those of split.csv are used.

    Raises:
        DataError: Lists every problem, not only the first.

    """
    # Also a link to nothing: it is an error where the file is read, and must not change the split without a word.
    has_split, has_unseen, has_masks = (os.path.lexists(root / one) for one in ("split.csv", "unseen.txt", "masks"))
    from_split = has_split and not with_images and not (root / "images").exists()
    needed = ["attributes.csv"] if from_split else ["images", "attributes.csv"]
    missing = [part for part in needed if not (root / part).exists()]
    if not has_split and not has_unseen:
        missing.append("split.csv or unseen.txt")
    if missing:
        raise DataError(
            f"{root} is not a data folder: it lacks {', '.join(missing)}",
            why="a data folder has images/<class>/*, attributes.csv, and split.csv or unseen.txt",
            todo="see docs/own-data.md",
        )
    reader = _Reader(root)
    images, labels = reader.images_of_split() if from_split else reader.list_images()
    parts = reader.split(images) if has_split else reader.split_by_classes(images, labels)
    if has_split and has_unseen:
        reader.check_unseen(labels[parts["test_unseen"]])
    has_masks = with_images and has_masks
    masks = tuple(str(Path("masks", *Path(image).parts[1:]).with_suffix(".png")) for image in images)
    if has_masks:
        reader.problems += [f"{mask} is missing" for mask in masks if not (root / mask).exists()]
        reader.problems += [f"{mask} is the mask of several images: rename one of them" for mask in repeated(masks)]
    benchmark = Benchmark(
        name=name or root.resolve().name,
        root=root,
        classes=reader.classes,
        attributes=reader.attributes,
        class_attributes=reader.table,
        images=images,
        labels=labels,
        trainval=parts["trainval"],
        test_seen=parts["test_seen"],
        test_unseen=parts["test_unseen"],
        folds=reader.folds(np.unique(labels[parts["trainval"]]).tolist()),
        groups=reader.groups,
        masks=masks if has_masks else (),
        warnings=tuple(reader.warnings),
        problems=tuple(reader.problems),
    )
    return with_doubts(benchmark, files=True)


def attribute_names_of_folder(root: Path) -> tuple[str, ...]:
    """Return the attribute names of a data folder without reading anything else."""
    return tuple(_attribute_rows(root)[0][1:])


def _attribute_rows(root: Path) -> list[list[str]]:
    """Return the rows of the attribute table; the first one is the header with attribute names."""
    path = root / "attributes.csv"
    rows = csv_rows(path)
    if not rows or len(rows[0]) < 2:
        why = "it needs a header (class, then attribute names) and one row per class"
        raise DataError(f"{path} has no attributes", why=why)
    return rows


class _Reader:
    """The files of a data folder; everything that is wrong with them is collected in `problems`."""

    def __init__(self, root: Path) -> None:
        """Read the attribute table: class names, attribute names, attribute groups and values (C, K)."""
        self.root, self.problems, self.warnings = root, list[str](), list[str]()
        header, *body = _attribute_rows(root)
        self.attributes = tuple(header[1:])
        unnamed = [column for column, name in enumerate(self.attributes, 2) if not name]
        self.problems += [f"attributes.csv: column {column} has no attribute name" for column in unnamed]
        twice = repeated(name for name in self.attributes if name)
        self.problems += [f"attributes.csv: attribute {name!r} occurs twice" for name in twice]
        is_grouped = bool(body) and is_group_row(body[0])
        self.groups = self._groups(body.pop(0)[1:]) if is_grouped else ()
        self.classes = tuple(row[0] for row in body)
        self.label_of = {name: label for label, name in enumerate(self.classes)}
        self.table = np.ones((len(body), len(self.attributes)))  # 1 for a value with a problem, which is counted once
        for values, (name, *cells) in zip(self.table, body):
            if len(cells) != len(values):
                counts = f"{len(cells)} values for {len(values)} attributes"
                self.problems.append(f"attributes.csv: class {name!r} has {counts}")
                continue
            for column, cell in enumerate(cells):
                try:
                    values[column] = number(cell)
                except ValueError as error:
                    attribute = self.attributes[column]
                    self.problems.append(f"attributes.csv: class {name!r}, {attribute!r}: {error}")

    def _groups(self, names: list[str]) -> tuple[tuple[int, ...], ...]:
        """Return the columns of each group."""
        if len(names) != len(self.attributes):
            self.problems.append(f"attributes.csv: {len(names)} group names for {len(self.attributes)} attributes")
        columns: dict[str, list[int]] = {}
        for column, name in enumerate(names[: len(self.attributes)]):
            columns.setdefault(name, []).append(column)
        return tuple(tuple(found) for name, found in columns.items() if name)

    def _entries(self, file: str, read: Callable[[Path], list[T]]) -> list[T]:
        """Return the entries of a file; none if it cannot be read."""
        try:
            return read(self.root / file)
        except DataError as error:
            self.problems.append(": ".join(part for part in (error.what, error.why) if part))
            return []

    def _rows(self, file: str, header: str) -> list[list[str]]:
        """Return the rows below the header, if there is one."""
        rows = self._entries(file, csv_rows)
        return rows[1:] if rows and rows[0][:1] == [header] else rows

    def _hint(self, name: str, known: Collection[str]) -> str:
        """Return the known names that are similar to a name, in brackets, for the first problems only."""
        return f" ({nearest(name, known)})" if len(self.problems) < _EXPLAINED else ""

    @cached_property
    def split_rows(self) -> list[list[str]]:
        """The rows of split.csv: image and part."""
        return self._rows("split.csv", "image")

    def list_images(self) -> tuple[tuple[str, ...], Indices]:
        """Return image paths relative to the data folder, sorted, and their labels; warn about ignored files."""
        folder, images, labels, left_out = self.root / "images", list[str](), list[int](), list[Entry]()
        unknown: dict[str, None] = {}
        for entry in entries(folder):
            name, *below = entry.path.relative_to(folder).parts or ("",)
            label = self.label_of.get(same_spelling(name))
            file = f"images/{entry.path.relative_to(folder).as_posix()}"
            if entry.closed:
                self.problems.append(f"{file}: {entry.left_out}")
            elif entry.left_out or not below:
                left_out.append(entry if entry.left_out else Entry(entry.path, "not in a class folder"))
            elif label is None:
                unknown.setdefault(name)
            elif not is_text(file) or len(file.splitlines()) != 1:
                self.problems.append(f"{file!a}: the file name contains a line break or is not UTF-8: rename the file")
            else:
                images.append(file)
                labels.append(label)
        for name in unknown:
            hint = self._hint(name, self.classes)
            self.problems.append(f"images/{name} has no row in attributes.csv{hint}")
        self.warnings += [described(left_out)] if left_out else []
        pictured = set(labels)
        empty = [name for label, name in enumerate(self.classes) if label not in pictured]
        if empty and empty[0] == self.classes[0] and is_group_row(empty[:1]):
            self.problems.append(f"attributes.csv: the second row {empty[0]!r} has numbers: name the groups with words")
        if empty:
            count = f"{len(empty)} classes of attributes.csv have no images and are ignored"
            self.warnings.append(f"{count}: {shortened(empty, 5)}")
        return tuple(images), np.array(labels, dtype=np.int64)

    def images_of_split(self) -> tuple[tuple[str, ...], Indices]:
        """Return the images of known classes in split.csv, as a folder lists them (files first), and their labels."""
        paths = [_below_images(row[0]).split("/") for row in self.split_rows]
        known = [parts for parts in paths if parts[1] in self.label_of]  # `split` reports the others
        known.sort(key=lambda parts: [*((True, folder) for folder in parts[:-1]), (False, parts[-1])])
        images = tuple(dict.fromkeys("/".join(parts) for parts in known))
        return images, np.array([self.label_of[image.split("/")[1]] for image in images], dtype=np.int64)

    def split(self, images: Sequence[str]) -> dict[str, Indices]:
        """Return the images of each part in split.csv."""
        index_of = {same_spelling(image): index for index, image in enumerate(images)}
        if len(index_of) < len(images):
            self.problems.append("two images have names that differ only in their Unicode normalization: rename one")
        part_of: dict[str, str] = {}
        for row in self.split_rows:
            name, part = (*row, "")[:2]
            image = _below_images(name)
            if part not in (*PARTS, UNUSED):
                self.problems.append(f"split.csv: {part!r} is not a split{self._hint(part, [*PARTS, UNUSED])}")
            elif image not in index_of:
                self.problems.append(f"split.csv: there is no image {image}")
            elif image in part_of:
                self.problems.append(f"split.csv: {image} appears twice")
            else:
                part_of[image] = part
        left_out = [image for image in index_of if image not in part_of]
        if left_out:
            self.problems.append(
                f"split.csv: {len(left_out)} of {len(images)} images are not in it, for instance {left_out[0]}; "
                f"list unused images with the split {UNUSED!r}"
            )
        indices = {split: [index_of[image] for image, part in part_of.items() if part == split] for split in PARTS}
        return {split: np.array(sorted(found), dtype=np.int64) for split, found in indices.items()}

    def check_unseen(self, unseen: Indices) -> None:
        """Report a list of unseen classes that contradicts split.csv, which decides if there are both."""
        before = len(self.problems)
        listed = set(self._entries("unseen.txt", read_lines))
        different = sorted(listed ^ {self.classes[label] for label in unseen})
        if different and len(self.problems) == before:
            self.problems.append(f"unseen.txt and split.csv have different unseen classes: {shortened(different, 5)}")

    def split_by_classes(self, images: Sequence[str], labels: Indices) -> dict[str, Indices]:
        """Return the images of each part, by the classes in unseen.txt."""
        names, pictured = self._entries("unseen.txt", read_lines), set(labels.tolist())
        for name in names:
            if name not in self.label_of:
                hint = self._hint(name, self.classes)
                self.problems.append(f"unseen.txt: no class {name!r} in attributes.csv{hint}")
            elif self.label_of[name] not in pictured:
                self.problems.append(f"unseen.txt: class {name!r} has no images")
        unseen = np.isin(labels, [self.label_of[name] for name in names if name in self.label_of])
        held_out: list[int] = []
        for label in np.unique(labels[~unseen]):
            mine = np.flatnonzero(labels == label).tolist()
            held_out += _shuffled_by_name(mine, images)[: max(len(mine) // 5, min(1, len(mine) - 1))]
        test_seen = np.array(sorted(held_out), dtype=np.int64)
        trainval = np.setdiff1d(np.flatnonzero(~unseen), test_seen)
        return {"trainval": trainval, "test_seen": test_seen, "test_unseen": np.flatnonzero(unseen)}

    def folds(self, seen: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Return the validation classes of each fold; empty if there are too few seen classes for folds."""
        if not os.path.lexists(self.root / "folds.csv"):
            order = _shuffled_by_name(seen, self.classes)
            return tuple(tuple(sorted(order[fold::FOLDS])) for fold in range(FOLDS)) if len(seen) >= 2 * FOLDS else ()
        fold_of: dict[int, int] = {}
        for row in self._rows("folds.csv", "class"):
            name, fold = (*row, "")[:2]
            label = self.label_of.get(name)
            if label is None or fold not in ("1", "2", "3"):
                self.problems.append(f"folds.csv: {','.join(row)!r} is not a class followed by fold 1, 2 or 3")
            elif label not in seen:
                self.problems.append(f"folds.csv: class {name!r} is not a seen class")
            elif label in fold_of:
                self.problems.append(f"folds.csv: class {name!r} appears twice")
            else:
                fold_of[label] = int(fold)
        without = [self.classes[label] for label in seen if label not in fold_of]
        self.problems += [f"folds.csv: seen class {name!r} is in no fold" for name in without]
        return tuple(tuple(sorted(label for label in fold_of if fold_of[label] == fold)) for fold in (1, 2, 3))


def _below_images(image: str) -> str:
    return image if image.startswith("images/") else f"images/{image}"


def _shuffled_by_name(indices: Sequence[int], names: Sequence[str]) -> list[int]:
    """Return the images in the same order on every machine, independent of the alphabet and the encoding of accents."""
    spelled = {index: same_spelling(names[index]) for index in indices}
    return sorted(indices, key=lambda index: (zlib.crc32(spelled[index].encode()), spelled[index]))
