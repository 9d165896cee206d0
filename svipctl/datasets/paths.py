"""Image paths as other people wrote them, on a data folder of ours."""

from __future__ import annotations

import re

from svipctl.errors import DataError

_FOLDERS = {"cub": "CUB_200_2011", "awa2": "Animals_with_Attributes2", "sun": "images"}


def reroot(path: str, dataset: str) -> str:
    """An image's path below `data/<dataset>`: what follows the last folder that the official archive unpacks to.

    `/home/x/Datasets/CUB_CROP/CUB_200_2011//images/c/f.jpg` is `CUB_200_2011/images/c/f.jpg` (data, trap 5).

    Raises:
        DataError: The path names no such folder, or climbs out of it.

    """
    folder = _FOLDERS[dataset]
    parts = [part for part in re.split(r"[/\\]+", path) if part not in ("", ".")]
    place = max((number for number, part in enumerate(parts) if part == folder), default=-1)
    if place < 0 or place + 1 == len(parts) or ".." in parts[place:] or "\0" in path:
        raise DataError(f"{path!r} is no image of {dataset}", why=f"its path does not go through a folder {folder}")
    return "/".join(parts[place:])
