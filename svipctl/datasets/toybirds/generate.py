"""Write the toy birds as a data folder (the layout of `svipctl.datasets.folder`), once."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from svipctl.cpu_count import processor_count
from svipctl.datasets.benchmark import FOLDS
from svipctl.datasets.toybirds.drawing import SIZE, draw_bird
from svipctl.datasets.toybirds.species import ATTRIBUTES, SEEN, UNSEEN, Species, draw_species
from svipctl.datasets.workers import load_items
from svipctl.errors import DataError, explained_disk_errors
from svipctl.files import atomic_folder, file_lock
from svipctl.types import ProgressCallback

_STAMP = "toybirds.json"
_VERSION = 1


@dataclass(frozen=True)
class ToybirdsPlan:
    """Plan of the drawing; together with the version of the drawing it identifies the images."""

    seed: int = 0
    size: int = SIZE
    train: int = 60
    """Training images of each seen class."""
    test_seen: int = 10
    test_unseen: int = 30

    @property
    def pictures(self) -> int:
        """Total number of images."""
        return SEEN * (self.train + self.test_seen) + UNSEEN * self.test_unseen

    @property
    def stamp(self) -> dict[str, int]:
        """Content of the stamp file."""
        return {"version": _VERSION, **asdict(self)}


def is_drawn(folder: Path, plan: ToybirdsPlan) -> bool:
    """Return True if the folder contains exactly these images, completely written."""
    try:
        return bool(json.loads((folder / _STAMP).read_text()) == plan.stamp)
    except (OSError, ValueError):
        return False


def draw_all(folder: Path, plan: ToybirdsPlan, progress: ProgressCallback | None = None) -> None:
    """Draw every image and mask into the folder, which appears complete or not at all.

    Args:
        folder: Folder, replaced if it contains other toy birds.
        plan: Plan of the drawing.
        progress: Called with classes done and classes in total.

    Raises:
        DataError: The folder contains files that svipctl did not write.

    """
    if folder.exists() and not (folder / _STAMP).exists():
        raise DataError(
            f"the built-in benchmark cannot be generated in {folder}",
            why="the folder exists and svipctl did not generate it, so it is not replaced",
            todo="move the folder away, or choose another --data-dir",
        )
    species = draw_species(plan.seed)
    names = [f"{number:03d}.{one.description}" for number, one in enumerate(species, 1)]
    with explained_disk_errors(f"the toy birds in {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.parent, on_wait=lambda: None):
            if is_drawn(folder, plan):  # by the process that held the lock
                return
            with atomic_folder(folder) as unfinished:
                _write_tables(unfinished, species, names, plan)
                order = list(zip(range(len(species)), species, names))
                with closing(load_items(_Drawer(unfinished, plan), order, workers=processor_count())) as drawn:
                    for done, _ in enumerate(drawn, 1):
                        if progress:
                            progress(done, len(species))
                (unfinished / _STAMP).write_text(json.dumps(plan.stamp, indent=2) + "\n")


def _pictures(name: str, number: int, plan: ToybirdsPlan) -> list[tuple[str, str]]:
    """Yield relative path and split of each image of a class."""
    if number < SEEN:
        splits = ["trainval"] * plan.train + ["test_seen"] * plan.test_seen
    else:
        splits = ["test_unseen"] * plan.test_unseen
    return [(f"{name}/{index:03d}.png", split) for index, split in enumerate(splits)]


@dataclass(frozen=True)
class _Drawer:
    """Draw classes, each when `load_items` loads it: the images and masks are written into the folder."""

    folder: Path
    plan: ToybirdsPlan

    def __getitem__(self, wanted: tuple[int, Species, str]) -> int | OSError:
        number, species, name = wanted
        try:
            for part in ("images", "masks"):
                (self.folder / part / name).mkdir(parents=True)
            for index, (path, _) in enumerate(_pictures(name, number, self.plan)):
                rng = np.random.default_rng([self.plan.seed, 2, number, index])
                picture, mask = draw_bird(species, rng, self.plan.size)
                picture.save(self.folder / "images" / path)
                mask.convert("1").save(self.folder / "masks" / path)
        except OSError as error:
            return error
        return number


def _write_tables(folder: Path, species: list[Species], names: list[str], plan: ToybirdsPlan) -> None:
    groups = [attribute.partition("::")[0] for attribute in ATTRIBUTES]
    values = [[name, *one.attributes().astype(int)] for name, one in zip(names, species)]
    _write_csv(folder / "attributes.csv", [["class", *ATTRIBUTES], ["group", *groups], *values])
    splits = [entry for number, name in enumerate(names) for entry in _pictures(name, number, plan)]
    _write_csv(folder / "split.csv", [("image", "split"), *splits])
    folds = [(name, number // 2 % FOLDS + 1) for number, name in enumerate(names[:SEEN])]
    _write_csv(folder / "folds.csv", [("class", "fold"), *folds])


def _write_csv(path: Path, rows: list) -> None:  # type: ignore[type-arg]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
