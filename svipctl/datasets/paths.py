"""Convert image paths of other machines to paths below our data folder, and match rows to images by path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError
from svipctl.text_files import same_spelling

_FOLDERS = {"cub": "CUB_200_2011", "awa2": "Animals_with_Attributes2", "sun": "images"}


def reroot(path: str, dataset: str) -> str:
    """Return an image's path below `data/<dataset>`: the part after the last folder that the official archive unpacks
    to.

    `/home/x/Datasets/CUB_CROP/CUB_200_2011//images/c/f.jpg` is `CUB_200_2011/images/c/f.jpg` (data, trap 5).

    Raises:
        DataError: The path does not contain such a folder, or leaves it.

    """
    folder = _FOLDERS[dataset]
    parts = [part for part in re.split(r"[/\\]+", path) if part not in ("", ".")]
    place = max((number for number, part in enumerate(parts) if part == folder), default=-1)
    if place < 0 or place + 1 == len(parts) or ".." in parts[place:] or "\0" in path:
        raise DataError(f"{path!r} is not an image of {dataset}", why=f"its path does not contain a folder {folder}")
    return "/".join(parts[place:])


def rows_by_name(images: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the row of each image in a list of names, -1 for a missing one.

    A name is the image whose path ends as it does: with the same two last parts or more, case as it is, so that folders
    before those of the data set do not matter.

    Raises:
        DataError: Two names are the same image.

    """
    image_of: dict[str, int] = {}
    for index, image in enumerate(images):
        for ending in _endings(image):
            image_of[ending] = -1 if ending in image_of else index
    image_of |= {next(_endings(image)): index for index, image in enumerate(images)}
    rows = np.full(len(images), -1, dtype=np.int64)
    for row, name in enumerate(names):
        index = next((image_of[ending] for ending in _endings(name) if ending in image_of), -1)
        if index >= 0 and rows[index] >= 0:
            raise DataError(
                f"two rows of features match the same image, {images[index]}",
                why=f"{names[rows[index]]} (row {rows[index]}) and {name} (row {row})",
                todo="remove one of the rows, or name the images by longer paths: folder/image.jpg",
            )
        if index >= 0:
            rows[index] = row
    return rows


def _endings(name: str) -> Iterator[str]:
    """Yield a path and what is left of it after each of its folders, down to two parts."""
    parts = [part for part in re.split(r"[/\\]+", same_spelling(name)) if part not in ("", ".")]
    yield "/".join(parts)
    for start in range(1, len(parts) - 1):
        yield "/".join(parts[start:])
