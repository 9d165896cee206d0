"""Locate the object and its parts in the network's input, window by window, to measure selection and localization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry, image_size
from svipctl.datasets.object_masks import object_mask, window_shares
from svipctl.datasets.part_locations import PartPlaces
from svipctl.datasets.published_pixels import scale_on_disk, seen_points
from svipctl.evaluation.calibration import Bools, Floats


@dataclass(frozen=True)
class ObjectTruth:
    """Location of the object in N images of W windows in raster order."""

    source: Literal["mask", "box"]
    shares: Floats
    """(N, W) share of each window that shows the object."""
    inside: Bools
    """(N, W + 1) True if the object is at the window's centre and, in the last column, at the centre of the image."""


def object_truth(
    benchmark: Benchmark, indices: Indices, geometry: Geometry, shape: tuple[int, int]
) -> ObjectTruth | None:
    """Return the location of the object from masks or, without masks, from boxes.

    Args:
        benchmark: Data set with masks or boxes.
        indices: (N,) images.
        geometry: Geometry of the network's input, a square.
        shape: Rows and columns of windows.

    Returns:
        None if the data set has neither.

    Raises:
        DataError: A mask, or an image whose size a box needs, is missing or damaged.

    """
    if not len(indices) or (not benchmark.masks and benchmark.boxes is None):
        return None
    read = _of_mask if benchmark.masks else _of_box
    shares, inside = zip(*(read(benchmark, int(index), geometry, shape) for index in indices))
    source: Literal["mask", "box"] = "mask" if benchmark.masks else "box"
    return ObjectTruth(source, np.stack(shares), np.stack(inside))


def part_truth(
    benchmark: Benchmark,
    indices: Indices,
    geometry: Geometry,
    shape: tuple[int, int],
    places: PartPlaces,
    groups: list[tuple[str, ...]],
) -> Floats:
    """Return the distances to the nearest part of each group that is visible and not cropped.

    Args:
        benchmark: Data set with boxes.
        indices: (N,) images.
        geometry: Geometry of the network's input, a square.
        shape: Rows and columns of windows.
        places: Positions of the parts.
        groups: Names of parts, of which the nearest counts.

    Returns:
        (N, W + 1, G) from the centre of each window and, last, of the image, as shares of the diagonal of the object's
        box; NaN if no part is visible.

    """
    assert benchmark.boxes is not None
    points = centres(geometry.size, shape)
    distances = np.full((len(indices), len(points), len(groups)), np.nan)
    columns = [[places.names.index(name) for name in group] for group in groups]
    for row, index in enumerate(indices):
        size = image_size(benchmark.image_path(int(index)), upright=benchmark.upright)
        scale = scale_on_disk(benchmark, size)
        parts = seen_points(places.points[index] * scale, size, geometry)
        is_seen = places.visible[index] & ((parts >= 0) & (parts < geometry.size)).all(axis=1)
        box = seen_box(benchmark, int(index), geometry)
        between = np.linalg.norm(points[:, None] - parts[None], axis=2) / np.hypot(box[2] - box[0], box[3] - box[1])
        between[:, ~is_seen] = np.inf
        nearest = np.stack([between[:, group].min(axis=1) for group in columns], axis=1)
        distances[row] = np.where(np.isfinite(nearest), nearest, np.nan)
    return distances


def centres(size: int, shape: tuple[int, int]) -> Floats:
    """Return x and y (W + 1, 2) of the centres of the windows, in raster order, and of a square of the given size."""
    rows, columns = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    windows = np.stack([(columns + 0.5) * size / shape[1], (rows + 0.5) * size / shape[0]], axis=1)
    return np.concatenate([windows, [[size / 2] * 2]])


def seen_box(benchmark: Benchmark, index: int, geometry: Geometry) -> Floats:
    """Return left, top, right and bottom (4,) of the object's box in the network's input, not clipped at its border."""
    assert benchmark.boxes is not None
    size = image_size(benchmark.image_path(index), upright=benchmark.upright)
    left, top, width, height = benchmark.boxes[index] * scale_on_disk(benchmark, size)
    return seen_points(np.array([[left, top], [left + width, top + height]]), size, geometry).ravel()


def _of_mask(benchmark: Benchmark, index: int, geometry: Geometry, shape: tuple[int, int]) -> tuple[Floats, Bools]:
    mask = object_mask(benchmark, index, geometry)
    x, y = centres(geometry.size, shape).astype(int).T
    return window_shares(mask, *shape).ravel(), mask[y, x]


def _of_box(benchmark: Benchmark, index: int, geometry: Geometry, shape: tuple[int, int]) -> tuple[Floats, Bools]:
    left, top, right, bottom = seen_box(benchmark, index, geometry)
    covered = np.outer(_overlaps(top, bottom, geometry.size, shape[0]), _overlaps(left, right, geometry.size, shape[1]))
    points = centres(geometry.size, shape)
    inside: Bools = np.all((points >= (left, top)) & (points < (right, bottom)), axis=1)
    return covered.ravel(), inside


def _overlaps(low: float, high: float, size: int, count: int) -> Floats:
    """Return the share (count,) of each of `count` equal parts of 0..size that low..high covers."""
    edges = np.linspace(0, size, count + 1)
    overlap: Floats = (np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)).clip(0) * count / size
    return overlap
