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

import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import FOLDS, PARTS, Benchmark, Indices
from svipctl.datasets.csv_rows import csv_rows, is_group_row, number
from svipctl.datasets.image_files import Entry, described, entries
from svipctl.datasets.look_alikes import equal_classes, equal_files
from svipctl.errors import DataError, nearest, shortened
from svipctl.text_files import read_lines, same_spelling

_EXPLAINED = 20  # problems with a hint: further ones have none, because each hint compares a name with all others
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
    from_split = not with_images and not (root / "images").exists() and (root / "split.csv").exists()
    needed = ["attributes.csv"] if from_split else ["images", "attributes.csv"]
    missing = [part for part in needed if not (root / part).exists()]
    if not (root / "split.csv").exists() and not (root / "unseen.txt").exists():
        missing.append("split.csv or unseen.txt")
    if missing:
        raise DataError(
            f"{root} is not a data folder: it lacks {', '.join(missing)}",
            why="a data folder has images/<class>/*, attributes.csv, and split.csv or unseen.txt",
            todo="see docs/own-data.md",
        )
    problems: list[str] = []
    classes, attributes, groups, table = _read_attributes(root / "attributes.csv", problems)
    warnings: list[str] = []
    if from_split:
        images, labels = _images_of_split(root / "split.csv", classes)
    else:
        images, labels = _list_images(root / "images", classes, problems, warnings)
    if (root / "split.csv").exists():
        parts = _read_split(root / "split.csv", images, problems)
    else:
        parts = _split_by_classes(root / "unseen.txt", classes, images, labels, problems)
    seen = sorted({int(label) for label in labels[parts["trainval"]]})
    has_masks = with_images and (root / "masks").is_dir()
    masks = tuple(str(Path("masks", *Path(image).parts[1:]).with_suffix(".png")) for image in images)
    if has_masks:
        problems += [f"{mask} is missing" for mask in masks if not (root / mask).exists()]
    unseen = {int(label) for label in labels[parts["test_unseen"]]}
    warnings += equal_classes(classes, table, unseen.union(seen), unseen) if not problems else []
    tests = np.concatenate([parts["test_seen"], parts["test_unseen"]])
    warnings += equal_files(root, [images[index] for index in parts["trainval"]], [images[index] for index in tests])
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
        warnings=tuple(warnings),
        problems=tuple(problems),
    )


def attribute_names_of_folder(root: Path) -> tuple[str, ...]:
    """Return the attribute names of a data folder without reading anything else."""
    return tuple(_attribute_rows(root / "attributes.csv")[0][1:])


def _attribute_rows(path: Path) -> list[list[str]]:
    """Return the rows of the attribute table; the first one is the header with attribute names."""
    rows = csv_rows(path)
    if not rows or len(rows[0]) < 2:
        why = "it needs a header (class, then attribute names) and one row per class"
        raise DataError(f"{path} has no attributes", why=why)
    return rows


def _rows(path: Path, header: str, problems: list[str]) -> list[list[str]]:
    """Return the rows below the header, if there is one; add a problem if the table cannot be read."""
    try:
        rows = csv_rows(path)
    except DataError as error:
        problems.append(_in_one_line(error))
        return []
    return rows[1:] if rows and rows[0][:1] == [header] else rows


def _read_attributes(
    path: Path, problems: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, ...], ...], NDArray[np.float64]]:
    """Return class names, attribute names, attribute groups and the (C, K) table."""
    header, *body = _attribute_rows(path)
    attributes = tuple(header[1:])
    problems += [
        f"attributes.csv: column {number} has no attribute name" for number, a in enumerate(attributes, 2) if not a
    ]
    repeated = (name for name, count in Counter(attributes).items() if name and count > 1)
    problems += [f"attributes.csv: attribute {name!r} occurs twice" for name in sorted(repeated)]
    groups: tuple[tuple[int, ...], ...] = ()
    if body and is_group_row(body[0]):
        groups = _groups(body[0][1:], len(attributes), problems)
        body = body[1:]
    complete = [row for row in body if len(row) == len(header)]
    table = np.ones((len(complete), len(attributes)))  # 1 for a value with a problem, which is counted once
    for values, row in zip(table, complete):
        for column, cell in enumerate(row[1:]):
            try:
                values[column] = number(cell)
            except ValueError as error:
                problems.append(f"attributes.csv: class {row[0]!r}, {attributes[column]!r}: {error}")
    if len(complete) < len(body):
        table = table[:0]
        problems += [
            f"attributes.csv: class {row[0]!r} has {len(row) - 1} values for {len(attributes)} attributes"
            for row in body
            if len(row) != len(header)
        ]
    return tuple(row[0] for row in body), attributes, groups, table


def _groups(names: list[str], attributes: int, problems: list[str]) -> tuple[tuple[int, ...], ...]:
    """Return the columns of each group."""
    if len(names) != attributes:
        problems.append(f"attributes.csv: {len(names)} group names for {attributes} attributes")
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(names[:attributes]):
        columns.setdefault(name, []).append(column)
    return tuple(tuple(found) for name, found in columns.items() if name)


def _list_images(
    folder: Path, classes: Sequence[str], problems: list[str], warnings: list[str]
) -> tuple[tuple[str, ...], Indices]:
    """Return image paths relative to the data folder, sorted, and their labels; add a warning about ignored files."""
    label_of = {name: label for label, name in enumerate(classes)}
    images: list[str] = []
    labels: list[int] = []
    left_out: list[Entry] = []
    unknown: dict[str, None] = {}
    for entry in entries(folder):
        name, *below = entry.path.relative_to(folder).parts or ("",)
        label = label_of.get(same_spelling(name))
        file = f"images/{entry.path.relative_to(folder).as_posix()}"
        if entry.closed:
            problems.append(f"{file}: {entry.left_out}")
        elif entry.left_out:
            left_out.append(entry)
        elif not below:
            left_out.append(Entry(entry.path, "not in a class folder"))
        elif label is None:
            unknown.setdefault(name)
        elif not _is_one_line(file):
            problems.append(f"{file!a}: its name is not one line of text in UTF-8: rename it")
        else:
            images.append(file)
            labels.append(label)
    for name in unknown:
        problems.append(f"images/{name} has no row in attributes.csv{_hint(name, classes, problems)}")
    warnings += [described(left_out)] if left_out else []
    pictured = set(labels)
    empty = [name for label, name in enumerate(classes) if label not in pictured]
    if empty:
        warnings.append(f"{len(empty)} classes of attributes.csv have no images and are ignored: {shortened(empty, 5)}")
    return tuple(images), np.array(labels, dtype=np.int64)


def _images_of_split(path: Path, classes: Sequence[str]) -> tuple[tuple[str, ...], Indices]:
    """Return the pictures of known classes in split.csv, as a folder lists them (files first), and their labels."""
    label_of = {name: label for label, name in enumerate(classes)}
    paths = [_below_images(row[0]).split("/") for row in _rows(path, "image", []) if row]
    known = [parts for parts in paths if parts[1] in label_of]  # `_read_split` reports the others
    known.sort(key=lambda parts: [*((True, folder) for folder in parts[:-1]), (False, parts[-1])])
    images = tuple(dict.fromkeys("/".join(parts) for parts in known))
    return images, np.array([label_of[image.split("/")[1]] for image in images], dtype=np.int64)


def _below_images(image: str) -> str:
    return image if image.startswith("images/") else f"images/{image}"


def _read_split(path: Path, images: Sequence[str], problems: list[str]) -> dict[str, Indices]:
    index_of = {same_spelling(image): index for index, image in enumerate(images)}
    if len(index_of) < len(images):
        problems.append("two images have names that differ only in the encoding of their accents")
    parts: dict[str, list[int]] = {split: [] for split in PARTS}
    placed: set[str] = set()
    for row in _rows(path, "image", problems):
        image, split = (*row, "")[:2]
        image = _below_images(image)
        if split not in (*parts, UNUSED):
            problems.append(f"split.csv: {split!r} is not a split{_hint(split, [*PARTS, UNUSED], problems)}")
        elif image not in index_of:
            problems.append(f"split.csv: there is no image {image}")
        elif image in placed:
            problems.append(f"split.csv: {image} appears twice")
        else:
            placed.add(image)
            if split != UNUSED:
                parts[split].append(index_of[image])
    left_out = [image for image in index_of if image not in placed]
    if left_out:
        problems.append(
            f"split.csv: {len(left_out)} of {len(images)} images are not in it, for instance {left_out[0]}; "
            f"list unused images with the split {UNUSED!r}"
        )
    return {split: np.array(sorted(indices), dtype=np.int64) for split, indices in parts.items()}


def _split_by_classes(
    path: Path, classes: Sequence[str], images: Sequence[str], labels: Indices, problems: list[str]
) -> dict[str, Indices]:
    try:
        names = read_lines(path)
    except DataError as error:
        problems.append(_in_one_line(error))
        names = []
    label_of = {name: label for label, name in enumerate(classes)}
    pictured = set(labels.tolist())
    for name in names:
        if name not in label_of:
            hint = _hint(name, classes, problems)
            problems.append(f"unseen.txt: no class {name!r} in attributes.csv{hint}")
        elif label_of[name] not in pictured:
            problems.append(f"unseen.txt: class {name!r} has no images")
    unseen = np.isin(labels, [label_of[name] for name in names if name in label_of])
    test_seen: list[int] = []
    for label in np.unique(labels[~unseen]):
        mine = [int(index) for index in np.flatnonzero(labels == label)]
        test_seen += _shuffled_by_name(mine, images)[: max(len(mine) // 5, min(1, len(mine) - 1))]
    everything = np.arange(len(images))
    held_out = np.array(sorted(test_seen), dtype=np.int64)
    trainval = np.setdiff1d(everything[~unseen], held_out)
    return {"trainval": trainval, "test_seen": held_out, "test_unseen": everything[unseen]}


def _read_folds(
    path: Path, classes: Sequence[str], seen: Collection[int], problems: list[str]
) -> tuple[tuple[int, ...], ...]:
    """Return the validation classes of each fold; empty if there are too few seen classes for folds."""
    if not path.exists():
        if len(seen) < 2 * FOLDS:
            return ()
        order = _shuffled_by_name(list(seen), classes)
        return tuple(tuple(sorted(order[fold::FOLDS])) for fold in range(FOLDS))
    label_of = {name: label for label, name in enumerate(classes)}
    fold_of: dict[int, int] = {}
    for row in _rows(path, "class", problems):
        name, fold = (*row, "")[:2]
        if name not in label_of or fold not in ("1", "2", "3"):
            problems.append(f"folds.csv: {','.join(row)!r} is not a class and a fold 1, 2 or 3")
        elif label_of[name] not in seen:
            problems.append(f"folds.csv: class {name!r} is not a seen class")
        elif label_of[name] in fold_of:
            problems.append(f"folds.csv: class {name!r} appears twice")
        else:
            fold_of[label_of[name]] = int(fold) - 1
    problems += [f"folds.csv: seen class {classes[label]!r} is in no fold" for label in seen if label not in fold_of]
    return tuple(tuple(sorted(label for label in fold_of if fold_of[label] == fold)) for fold in range(FOLDS))


def _shuffled_by_name(indices: list[int], names: Sequence[str]) -> list[int]:
    """Return the images in the same order on every machine, independent of the alphabet and the encoding of accents."""
    spelled = {index: same_spelling(names[index]) for index in indices}
    return sorted(indices, key=lambda index: (zlib.crc32(spelled[index].encode()), spelled[index]))


def _is_one_line(name: str) -> bool:
    """Return True if a list of names, one per line, can contain a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return len(name.splitlines()) == 1


def _hint(name: str, known: Collection[str], problems: list[str]) -> str:
    """Return the known names that are similar to a name, in brackets, for the first problems only."""
    return f" ({nearest(name, known)})" if len(problems) < _EXPLAINED else ""


def _in_one_line(error: DataError) -> str:
    return ": ".join(part for part in (error.what, error.why) if part)
