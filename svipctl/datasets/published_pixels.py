"""Convert pixel coordinates of published photographs (boxes, parts) to those of the network's input.

Some copies of CUB were resized. CUB's lists do not contain the sizes of the photographs, but nearly all have a longest
side of 500 pixels, so a copy is detected by boxes that exceed its images, which gives its scale. Copies are
mostly resized to one shorter side; smaller photographs are unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark, spread
from svipctl.datasets.images import Geometry, image_size
from svipctl.errors import DataError

LONGEST_SIDE = 500
_LOOKED_AT = 100  # share of the images, far below that of a smaller copy, in which most boxes do not fit

Points = NDArray[np.float64]
"""(n, 2): x and y."""


def are_crops(files: Sequence[Path], boxes: NDArray[np.float64]) -> bool:
    """Return True if most images have the size of their box (N, 4), so that boxes are not in their pixels."""
    fits = [bool(np.abs(boxes[position, 2:] - size).max() <= 1) for position, size in _sizes(files)]
    return 2 * sum(fits) > len(fits)


def published_side(files: Sequence[Path], boxes: NDArray[np.float64]) -> int | None:
    """Return the published longest side if the images on the disk are resized copies, else None.

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
    """Return the shorter side that most images have, 0 if there is none."""
    sides = Counter(min(size) for _, size in _sizes(files))
    side, count = max(sides.items(), key=lambda one: one[1], default=(0, 0))
    return side if 2 * count > sides.total() else 0


def _sizes(files: Sequence[Path]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Return index, width and height of some of the images."""
    for position in spread(np.arange(len(files)), _LOOKED_AT):
        with suppress(DataError):  # the error is reported when the image is read
            yield int(position), image_size(files[position], upright=False)


def scale_on_disk(benchmark: Benchmark, size: tuple[int, int]) -> float:
    """Return the pixels on the disk per published pixel, for an image of the given size on the disk."""
    if benchmark.published_side is None or min(size) < benchmark.copied_side:
        return 1.0
    return max(size) / benchmark.published_side


def seen_points(points: Points, size: tuple[int, int], geometry: Geometry) -> Points:
    """Return points of an image in the network's input; points outside of 0 to its size are cropped.

    Args:
        points: (n, 2) x and y in pixels of the image.
        size: Width and height of the image.
        geometry: Geometry of the network's input.

    """
    resized, corner = geometry.placement(size)
    moved: Points = points * np.divide(resized, size) - np.array(corner)
    return moved
