"""Build CUB-200-2011, AwA2 and SUN Attributes under the proposed split from their official files only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import PARTS, Benchmark, Indices
from svipctl.datasets.csv_rows import number
from svipctl.datasets.fetch.assets import SPLIT_FOLDERS
from svipctl.datasets.fetch.steps import repair_command
from svipctl.datasets.groups import attribute_groups
from svipctl.datasets.look_alikes import with_doubts
from svipctl.datasets.part_locations import cub_image_ids
from svipctl.datasets.paths import reroot, rows_by_name
from svipctl.datasets.proposed_split import ProposedSplit, read_names, read_proposed_split
from svipctl.datasets.published_pixels import are_crops, copied_side, published_side
from svipctl.errors import DataError, explained_damage, shortened
from svipctl.quoting import shell_command
from svipctl.text_files import read_lines

_CROPPED = "the photographs are cropped to their bounding boxes: nothing is measured against boxes and parts"


@dataclass(frozen=True)
class Official:
    """Official files of a benchmark, and their expected content."""

    read_attributes: Callable[[Path], tuple[str, ...]]
    class_of: Callable[[str], str]
    """Function from an image's path to its class name, to detect labels in another order than the files."""
    attributes: int
    classes: tuple[int, int]
    """Numbers of seen and unseen classes."""
    images: tuple[int, int, int]
    """Numbers of images in trainval, seen test and unseen test."""


def _cub_attributes(root: Path) -> tuple[str, ...]:
    """Return CUB's attributes. The archive has `attributes.txt` next to the folder; a copy in it works too."""
    places = [root / "attributes.txt", root / "CUB_200_2011" / "attributes.txt"]
    path = next((place for place in places if place.exists()), places[0])
    return tuple(line.partition(" ")[2].strip() for line in read_lines(path))


def _awa2_attributes(root: Path) -> tuple[str, ...]:
    return tuple(line.split()[-1] for line in read_lines(root / "Animals_with_Attributes2" / "predicates.txt"))


def _sun_attributes(root: Path) -> tuple[str, ...]:
    return read_names(root / "SUNAttributeDB" / "attributes.mat", "attributes")


def _parent(file: str) -> str:
    return file.split("/")[-2]


def _scene(file: str) -> str:
    """Return the class of a SUN image: images/<letter>/<scene>[/<sub>]/<file> is class scene[_sub]."""
    return "_".join(file.split("/")[2:-1])


OFFICIAL_BENCHMARKS = {
    "cub": Official(_cub_attributes, _parent, 312, (150, 50), (7057, 1764, 2967)),
    "awa2": Official(_awa2_attributes, _parent, 85, (40, 10), (23527, 5882, 7913)),
    "sun": Official(_sun_attributes, _scene, 102, (645, 72), (10320, 2580, 1440)),
}


def attribute_names(name: str, data_dir: Path) -> tuple[str, ...]:
    """Return the attributes of `cub`, `awa2` or `sun`, without images and splits.

    Raises:
        DataError: The attribute list is missing, or has a wrong length.

    """
    official = OFFICIAL_BENCHMARKS[name]
    with _explained(name, data_dir):
        attributes = official.read_attributes(data_dir / name)
        expected, found = official.attributes, len(attributes)
        if found != expected:
            raise DataError(f"{name} has {expected} attributes, but the list in {data_dir / name} has {found}")
    return attributes


def open_official(
    name: str, data_dir: Path, *, allow_partial: bool = False, listed: Sequence[str] | None = None
) -> Benchmark:
    """Build `cub`, `awa2` or `sun` from `data_dir/<name>`.

    Args:
        name: Name of the benchmark.
        data_dir: Folder of the data sets.
        allow_partial: Use the existing images; `Benchmark.missing` lists the others.
        listed: Names of the existing images, instead of a search on the disk.

    Raises:
        DataError: Files are missing, damaged, or not the official ones; or images are missing without `allow_partial`.

    """
    official, root = OFFICIAL_BENCHMARKS[name], data_dir / name
    attributes = attribute_names(name, data_dir)
    with _explained(name, data_dir):
        split = read_proposed_split(root / "xlsa17" / "data" / SPLIT_FOLDERS[name])
        files = tuple(reroot(file, name) for file in split.files)
        _check(name, official, split, files, attributes)
        cub = root / "CUB_200_2011"
        boxes = bounding_boxes(cub, files) if listed is None and (cub / "bounding_boxes.txt").exists() else None
    present = np.array(_present(root, files)) if listed is None else rows_by_name(files, listed) >= 0
    missing = tuple(file for file, there in zip(files, present) if not there)
    all_missing = len(missing) == len(files)
    count = f"all {len(files):,}" if all_missing else f"{len(missing):,} of {len(files):,}"
    if missing and (not allow_partial or all_missing):
        what, todo = f"{name} lacks {count} images", repair_command(name, data_dir)
        if listed is not None:
            what = f"the feature file lacks {count} images of {name}"
            todo = f"write all of them: {shell_command('embed', name, '-o', 'FILE')}"
        todo += "" if all_missing else ", or use the existing images: --allow-partial"
        raise DataError(what, why=describe_missing(missing, official.class_of), todo=todo)
    images, labels = tuple(file for file, there in zip(files, present) if there), split.labels[present]
    new_index = np.cumsum(present) - 1
    parts: dict[str, Any] = {part: new_index[split.parts[part][present[split.parts[part]]]] for part in PARTS}
    boxes = None if boxes is None else boxes[present]
    paths = [root / image for image in images]
    warnings = [] if boxes is None or not are_crops(paths, boxes) else [_CROPPED]
    boxes = None if warnings else boxes
    published = None if boxes is None else published_side(paths, boxes)
    if missing:
        warning = f"{name} is used without {count} images: numbers are not comparable with published ones"
        warnings.append(f"{warning}\n{describe_missing(missing, official.class_of)}")
    benchmark = Benchmark(
        name=name,
        root=root,
        classes=split.classes,
        attributes=attributes,
        class_attributes=split.class_attributes,
        images=images,
        labels=labels,
        **parts,
        folds=_folds_with_images(split, labels),
        groups=attribute_groups(name),
        boxes=boxes,
        published_side=published,
        copied_side=0 if published is None else copied_side(paths),
        missing=missing,
        upright=False,
        warnings=tuple(warnings),
    )
    return with_doubts(benchmark, files=False)  # `data status --verify` reads the files


def describe_missing(missing: Sequence[str], class_of: Callable[[str], str] = _parent) -> str:
    """Return a few lines with the number of missing images by class, and the first names."""
    by_class = Counter(class_of(file) for file in missing)
    classes = shortened([f"{name} ({count})" for name, count in sorted(by_class.items())], 5)
    return f"missing images of {classes}:\n" + shortened(missing, 3, "\n")


def missing_images(name: str, data_dir: Path) -> tuple[tuple[str, ...], int]:
    """Return the missing images of a benchmark, relative to its folder, and the total number of images.

    Raises:
        DataError: The list of images is missing or damaged.

    """
    root = data_dir / name
    path = root / "xlsa17" / "data" / SPLIT_FOLDERS[name] / "res101.mat"
    files = tuple(reroot(file, name) for file in read_names(path, "image_files"))
    return tuple(file for file, there in zip(files, _present(root, files)) if not there), len(files)


def _present(root: Path, files: Sequence[str]) -> list[bool]:
    """Return True for each existing file, by listing each folder once, with far fewer calls than one per file."""

    @cache
    def names_in(folder: str) -> set[str]:
        path = root / folder
        return {entry.name for entry in path.iterdir()} if path.is_dir() else set()

    return [name in names_in(folder) for folder, _, name in (file.rpartition("/") for file in files)]


def _check(
    name: str, official: Official, split: ProposedSplit, files: Sequence[str], attributes: Sequence[str]
) -> None:
    """Raise an error for a changed, mixed-up or leaking copy.

    Raises:
        DataError: Lists every contradiction.

    """
    problems = []
    columns = split.class_attributes.shape[1]
    if columns != len(attributes):
        problems.append(f"the table has {columns} attributes, but the list has {len(attributes)}")
    seen = len(np.unique(split.labels[split.parts["trainval"]]))
    unseen = len(np.unique(split.labels[split.parts["test_unseen"]]))
    if (seen, unseen) != official.classes:
        problems.append(f"{seen} seen and {unseen} unseen classes; expected {official.classes}")
    counts = tuple(len(split.parts[part]) for part in PARTS)
    if counts != official.images:
        problems.append(f"{counts} images in {', '.join(PARTS)}; expected {official.images}")
    if not np.array_equal(np.sort(np.concatenate(list(split.parts.values()))), np.arange(len(files))):
        problems.append("the three parts do not contain each image exactly once")
    wrong = [file for file, label in zip(files, split.labels) if official.class_of(file) != split.classes[label]]
    if wrong:
        problems.append(f"{len(wrong)} images are in the folder of another class than their label: {wrong[0]}")
    if problems:
        raise DataError(f"the files of the proposed split of {name} are not the official ones", why="\n".join(problems))


def _folds_with_images(split: ProposedSplit, labels: Indices) -> tuple[tuple[int, ...], ...]:
    """Return the folds without classes whose images are missing; none at all if one fold would be empty."""
    there = set(labels.tolist())
    folds = tuple(tuple(label for label in fold if label in there) for fold in split.folds)
    return folds if all(folds) else ()


def bounding_boxes(folder: Path, files: Sequence[str]) -> NDArray[np.float64]:
    """Return left, top, width, height (N, 4) in pixels of the published photographs, in the order of `files`.

    CUB's own lists use image ids, whose order is not that of the proposed split.
    """
    with explained_damage(f"the bounding boxes in {folder}", "do not fit the images", KeyError, ValueError):
        box_of_id = dict(line.split(maxsplit=1) for line in read_lines(folder / "bounding_boxes.txt"))
        id_of_file = cub_image_ids(folder)
        boxes = np.array([[number(cell) for cell in box_of_id[id_of_file[file]].split()] for file in files])
        if boxes.shape != (len(files), 4):
            raise ValueError(f"a table of shape {boxes.shape}")
    return boxes


@contextmanager
def _explained(name: str, data_dir: Path) -> Iterator[None]:
    """Add the command that fetches a missing or damaged file to its error."""
    try:
        yield
    except DataError as error:
        raise DataError(error.what, why=error.why, todo=repair_command(name, data_dir)) from error
