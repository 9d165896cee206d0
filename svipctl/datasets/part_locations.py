"""Read the part locations of CUB's annotators: `parts/parts.txt` and `parts/part_locs.txt` of CUB_200_2011."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.csv_rows import number
from svipctl.errors import explained_damage
from svipctl.text_files import read_lines


@dataclass(frozen=True)
class PartPlaces:
    """Locations of P parts in N images, in the benchmark's order of images."""

    names: tuple[str, ...]
    """(P,) as published: `left wing`, `beak`, ..."""
    points: NDArray[np.float64]
    """(N, P, 2) x and y in pixels of the published image."""
    visible: NDArray[np.bool_]
    """(N, P)."""


def cub_image_ids(folder: Path) -> dict[str, str]:
    """Return the id of each image in CUB's own lists, by its path below the data set's folder.

    Raises:
        DataError: The list is missing.
        ValueError: A line has no id.

    """
    lines = (line.split(maxsplit=1) for line in read_lines(folder / "images.txt"))
    return {f"CUB_200_2011/images/{file}": number for number, file in lines}


def part_places(benchmark: Benchmark) -> PartPlaces | None:
    """Return the part locations; None if the benchmark has none.

    Raises:
        DataError: The lists are damaged or do not fit the images.

    """
    folder = benchmark.root / "CUB_200_2011"
    if benchmark.name != "cub" or benchmark.boxes is None or not (folder / "parts" / "part_locs.txt").exists():
        return None
    place, problem = f"the part locations in {folder / 'parts'}", "do not fit the images"
    with explained_damage(place, problem, IndexError, KeyError, ValueError, todo="svipctl data fetch cub"):
        names = tuple(line.split(maxsplit=1)[1] for line in read_lines(folder / "parts" / "parts.txt"))
        lines = read_lines(folder / "parts" / "part_locs.txt")
        table = np.array([[number(cell) for cell in line.split()] for line in lines]).reshape(-1, len(names), 5)
        if not (table[:, :, 1] == np.arange(1, len(names) + 1)).all():
            raise ValueError("each image should have each part once, in order")
        row_of_id = {int(number): row for row, number in enumerate(table[:, 0, 0])}
        id_of_file = cub_image_ids(folder)
        rows = [row_of_id[int(id_of_file[file])] for file in benchmark.images]
    return PartPlaces(names, table[rows, :, 2:4], table[rows, :, 4] == 1)
