"""From pixels of a published photograph, in which boxes and parts are given, to pixels of what the network sees.

Some copies of CUB were made smaller. Nothing in its lists says how large a photograph was, but nearly all have a longest
side of 500 pixels, so a copy gives itself away by boxes that reach out of its images, and its scale follows. Copies are
mostly made to one shorter side; a photograph that was smaller than that from the beginning is then as it was published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import CROP_RATIO, Geometry, image_size
from svipctl.errors import DataError

LONGEST_SIDE = 500
_LOOKED_AT = 100  # of the images, which is many more than are needed: in a smaller copy most boxes do not fit

Points = NDArray[np.float64]
"""(n, 2): x and y."""


def published_side(files: Sequence[Path], boxes: NDArray[np.float64]) -> int | None:
    """The published longest side if the images on the disk are copies of another size, else None.

    Args:
        files: The images on the disk.
        boxes: (N, 4) left, top, width, height of each, in published pixels.

    """
    for position, (width, height) in _sizes(files):
        left, top, wide, high = boxes[position]
        if left + wide > width + 1 or top + high > height + 1:
            return LONGEST_SIDE
    return None


def copied_side(files: Sequence[Path]) -> int:
    """The shorter side that most of the images have in common, 0 if there is none."""
    sides = Counter(min(size) for _, size in _sizes(files))
    side, count = max(sides.items(), key=lambda one: one[1], default=(0, 0))
    return side if 2 * count > sides.total() else 0


def _sizes(files: Sequence[Path]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Place, width and height of some of the images."""
    for position in np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).round().astype(int)) if files else ():
        with suppress(DataError):  # whatever reads that image says what is wrong with it
            yield int(position), image_size(files[position], upright=False)


def scale_on_disk(benchmark: Benchmark, size: tuple[int, int]) -> float:
    """Pixels on the disk for each published pixel, of an image of that size on the disk."""
    if benchmark.published_side is None or min(size) < benchmark.copied_side:
        return 1.0
    return max(size) / benchmark.published_side


def seen_points(points: Points, size: tuple[int, int], geometry: Geometry) -> Points:
    """Where points of an image lie in what the network sees of it; outside of 0 to its size where they are cut off.

    Args:
        points: (n, 2) x and y in pixels of the image.
        size: Width and height of the image.
        geometry: What the image goes through.

    """
    width, height = size
    if geometry.resize == "none" or (geometry.resize == "shorter-side" and size == (geometry.size, geometry.size)):
        return points.astype(np.float64)
    if geometry.resize == "square":
        resized: Points = points * np.array([geometry.size / width, geometry.size / height])
        return resized
    # As torchvision resizes and crops: the longer side is rounded down, the crop's corner to the nearest even half.
    shorter = round(geometry.size / CROP_RATIO)
    new = [int(shorter * side / min(size)) if side > min(size) else shorter for side in size]
    corner = np.array([round((side - geometry.size) / 2) for side in new])
    moved: Points = points * np.array([new[0] / width, new[1] / height]) - corner
    return moved
