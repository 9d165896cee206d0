"""A data set of your own: a folder with pictures, a table of attributes, and who is unseen.

    FOLDER/
      images/<class>/<picture>.jpg   one folder a class
      attributes.csv                 class, then one column an attribute; optional second row with group names
      split.csv                      image,split with trainval, test_seen, test_unseen or unused
      unseen.txt                     instead of split.csv: the unseen classes, one a line
      masks/<class>/<picture>.png    optional, white where the object is
      folds.csv                      optional, class,fold: the seen classes in three development folds
      word_vectors.npz               made by `svipctl w2v build FOLDER`

With `unseen.txt`, every fifth image of a seen class (after a shuffle that depends on nothing but the names) is a seen
test image. Without `folds.csv` the seen classes are dealt to three folds in the same manner.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from svipctl.datasets.benchmark import FOLDS, PARTS, Benchmark, Indices
from svipctl.datasets.csv_rows import csv_rows, is_group_row
from svipctl.errors import DataError, nearest

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"}
UNUSED = "unused"
"""In the place of a split, of a picture that is to be left out."""


def open_folder(root: Path, name: str | None = None) -> Benchmark:
    """Read and validate a data folder.

    Args:
        root: The folder described above.
        name: Name of the data set; the folder's own by default.

    Raises:
        DataError: With every problem found, not only the first.

    """
    missing = [part for part in ("images", "attributes.csv") if not (root / part).exists()]
    if not (root / "split.csv").exists() and not (root / "unseen.txt").exists():
        missing.append("split.csv or unseen.txt")
    if missing:
        raise DataError(
            f"{root} is not a data folder: it lacks {', '.join(missing)}",
            why="a data folder has images/<class>/*, attributes.csv, and split.csv or unseen.txt",
            todo="see `Your own data` in README",
        )
    problems: list[str] = []
    classes, attributes, groups, table = _read_attributes(root / "attributes.csv", problems)
    images, labels = _list_images(root / "images", classes, problems)
    if (root / "split.csv").exists():
        parts = _read_split(root / "split.csv", images, problems)
    else:
        parts = _split_by_classes(root / "unseen.txt", classes, images, labels, problems)
    seen = sorted({int(label) for label in labels[parts["trainval"]]})
    has_masks = (root / "masks").is_dir()
    masks = tuple(str(Path("masks", *Path(image).parts[1:]).with_suffix(".png")) for image in images)
    if has_masks:
        problems += [f"{mask} is missing" for mask in masks if not (root / mask).exists()]
    return Benchmark(
        name=name or root.resolve().name,
        root=root,
        classes=classes,
        attributes=attributes,
        class_attributes=table,
        images=images,
        labels=labels,
        trainval=parts["trainval"],
        test_seen=parts["test_seen"],
        test_unseen=parts["test_unseen"],
        folds=_read_folds(root / "folds.csv", classes, seen, problems),
        groups=groups,
        masks=masks if has_masks else (),
        word_vectors_file=root / "word_vectors.npz",
        problems=tuple(problems),
    )


def attribute_names_of_folder(root: Path) -> tuple[str, ...]:
    """Attribute names of a data folder; nothing else of it is read."""
    return tuple(_attribute_rows(root / "attributes.csv")[0][1:])


def _attribute_rows(path: Path) -> list[list[str]]:
    """Return the rows of the attribute table, of which the first is a header with attribute names."""
    rows = csv_rows(path)
    if not rows or len(rows[0]) < 2:
        why = "it needs a header (class, then attribute names) and one row a class"
        raise DataError(f"{path} has no attributes", why=why)
    return rows


def _rows(path: Path, header: str, problems: list[str]) -> list[list[str]]:
    """Return the rows below the header, if there is one; none of a table that cannot be read, which is a problem."""
    try:
        rows = csv_rows(path)
    except DataError as error:
        problems.append(": ".join(part for part in (error.what, error.why) if part))
        return []
    return rows[1:] if rows and rows[0][:1] == [header] else rows


def _read_attributes(
    path: Path, problems: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, ...], ...], np.ndarray]:
    """Class names, attribute names, attribute groups and the (C, K) table."""
    header, *body = _attribute_rows(path)
    attributes = tuple(header[1:])
    problems += [
        f"attributes.csv: column {number} has no attribute name" for number, a in enumerate(attributes, 2) if not a
    ]
    problems += [f"attributes.csv: attribute {a!r} occurs twice" for a in _repeated(attributes)]
    groups: tuple[tuple[int, ...], ...] = ()
    if body and is_group_row(body[0]):
        names = body[0][1:]
        if len(names) != len(attributes):
            problems.append(f"attributes.csv: {len(names)} group names for {len(attributes)} attributes")
            names = names[: len(attributes)]
        groups = tuple(tuple(i for i, n in enumerate(names) if n == group) for group in dict.fromkeys(names) if group)
        body = body[1:]
    table = np.full((len(body), len(attributes)), np.nan)
    for number, row in enumerate(body):
        if len(row) != len(attributes) + 1:
            problems.append(
                f"attributes.csv: class {row[0]!r} has {len(row) - 1} values for {len(attributes)} attributes"
            )
            table[number] = 1  # counted once, as this problem
            continue
        for column, cell in enumerate(row[1:]):
            try:
                table[number, column] = float(cell)
            except ValueError:
                problems.append(f"attributes.csv: class {row[0]!r}, {attributes[column]!r}: {cell!r} is not a number")
                table[number, column] = 1
    classes = tuple(row[0] for row in body)
    return classes, attributes, groups, table


def _list_images(folder: Path, classes: Sequence[str], problems: list[str]) -> tuple[tuple[str, ...], Indices]:
    """Picture paths relative to the data folder, sorted, and their labels."""
    label_of = {name: label for label, name in enumerate(classes)}
    images: list[str] = []
    labels: list[int] = []
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
        if subfolder.name not in label_of:
            problems.append(
                f"images/{subfolder.name} has no row in attributes.csv ({nearest(subfolder.name, classes)})"
            )
            continue
        for path in sorted(subfolder.iterdir()):
            if path.suffix.lower() in PICTURES:
                images.append(f"images/{subfolder.name}/{path.name}")
                labels.append(label_of[subfolder.name])
    return tuple(images), np.array(labels, dtype=np.int64)


def _read_split(path: Path, images: Sequence[str], problems: list[str]) -> dict[str, Indices]:
    index_of = {image: index for index, image in enumerate(images)}
    parts: dict[str, list[int]] = {split: [] for split in PARTS}
    placed: set[str] = set()
    for row in _rows(path, "image", problems):
        image, split = (*row, "")[:2]
        image = image if image.startswith("images/") else f"images/{image}"
        if split == UNUSED:
            placed.add(image)
        elif split not in parts:
            problems.append(f"split.csv: {split!r} is not a split ({nearest(split, [*PARTS, UNUSED])})")
        elif image not in index_of:
            problems.append(f"split.csv: there is no picture {image}")
        elif image in placed:
            problems.append(f"split.csv: {image} is named twice")
        else:
            placed.add(image)
            parts[split].append(index_of[image])
    left_out = [image for image in images if image not in placed]
    if left_out:
        problems.append(
            f"split.csv: {len(left_out)} of {len(images)} pictures are not in it, for instance {left_out[0]}; "
            f"what is to be left out has the split {UNUSED!r}"
        )
    return {split: np.array(sorted(indices), dtype=np.int64) for split, indices in parts.items()}


def _split_by_classes(
    path: Path, classes: Sequence[str], images: Sequence[str], labels: Indices, problems: list[str]
) -> dict[str, Indices]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        problems.append(f"unseen.txt is not text in UTF-8: {error}")
        lines = []
    unseen_names = [line.strip() for line in lines if line.strip()]
    for name in unseen_names:
        if name not in classes:
            problems.append(f"unseen.txt: no class {name!r} in attributes.csv ({nearest(name, classes)})")
        elif classes.index(name) not in labels:
            problems.append(f"unseen.txt: class {name!r} has no pictures")
    unseen = np.isin(labels, [classes.index(name) for name in unseen_names if name in classes])
    test_seen: list[int] = []
    for label in np.unique(labels[~unseen]):
        mine = [int(index) for index in np.flatnonzero(labels == label)]
        test_seen += _shuffled_by_name(mine, images)[: max(len(mine) // 5, min(1, len(mine) - 1))]
    everything = np.arange(len(images))
    held_out = np.array(sorted(test_seen), dtype=np.int64)
    trainval = np.setdiff1d(everything[~unseen], held_out)
    return {"trainval": trainval, "test_seen": held_out, "test_unseen": everything[unseen]}


def _read_folds(
    path: Path, classes: Sequence[str], seen: Sequence[int], problems: list[str]
) -> tuple[tuple[int, ...], ...]:
    """Validation classes of each fold; empty when there are too few seen classes for folds."""
    if not path.exists():
        if len(seen) < 2 * FOLDS:
            return ()
        order = _shuffled_by_name(list(seen), classes)
        return tuple(tuple(sorted(order[fold::FOLDS])) for fold in range(FOLDS))
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for row in _rows(path, "class", problems):
        name, fold = (*row, "")[:2]
        if name not in classes or fold not in ("1", "2", "3"):
            problems.append(f"folds.csv: {','.join(row)!r} is not a class and a fold 1, 2 or 3")
        elif classes.index(name) not in seen:
            problems.append(f"folds.csv: class {name!r} is not a seen class")
        elif any(classes.index(name) in members for members in folds):
            problems.append(f"folds.csv: class {name!r} is named twice")
        else:
            folds[int(fold) - 1].append(classes.index(name))
    dealt = {label for members in folds for label in members}
    problems += [f"folds.csv: seen class {classes[label]!r} is in no fold" for label in seen if label not in dealt]
    return tuple(tuple(sorted(fold)) for fold in folds)


def _shuffled_by_name(indices: list[int], names: Sequence[str]) -> list[int]:
    """The same order on every machine, unrelated to the alphabet."""
    return sorted(indices, key=lambda index: (zlib.crc32(names[index].encode()), names[index]))


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if name and names.count(name) > 1})
