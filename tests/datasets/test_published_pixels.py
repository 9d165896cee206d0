"""Test that boxes and parts in pixels of a published photograph are mapped to their place in the network's input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry
from svipctl.datasets.object_masks import object_mask
from svipctl.datasets.published_pixels import are_crops, copied_side, published_side, scale_on_disk, seen_points
from tests.evaluation.cases import benchmark

SIZES = [(640, 480), (301, 500), (224, 224), (257, 256), (90, 333)]
GEOMETRIES = [Geometry("shorter-side", 224), Geometry("square", 96), Geometry("none")]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.key)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_point_is_mapped_to_where_the_transform_puts_its_pixel(size: tuple[int, int], geometry: Geometry) -> None:
    width, height = size
    for share in (0.46, 0.5, 0.55):
        x, y = width * share, height * (1 - share)
        reach = max(size) / 60
        drawn = np.zeros((height, width, 3), dtype=np.uint8)
        rows, columns = np.mgrid[:height, :width] + 0.5
        drawn[(abs(columns - x) < reach) & (abs(rows - y) < reach)] = 255
        seen = geometry(Image.fromarray(drawn))[..., 0].astype(float)
        spot = (
            np.array([(seen.sum(axis) * (np.arange(seen.shape[1 - axis]) + 0.5)).sum() for axis in (0, 1)]) / seen.sum()
        )
        (point,) = seen_points(np.array([[x, y]]), size, geometry)
        assert np.abs(point - spot).max() < 1.0


def copies(folder: Path, sizes: list[tuple[int, int]], scale: float) -> list[Path]:
    files = [folder / f"{number}.png" for number in range(len(sizes))]
    for file, (width, height) in zip(files, sizes):
        Image.new("RGB", (round(width * scale), round(height * scale))).save(file)
    return files


def test_smaller_copies_are_detected_and_published_photographs_are_not(tmp_path: Path) -> None:
    sizes = [(500, 375), (333, 500), (500, 400)]
    boxes = np.array([[100, 100, 300, 200], [10, 10, 300, 480], [50, 30, 60, 90]], dtype=float)
    assert published_side(copies(tmp_path, sizes, 1.0), boxes) is None
    assert published_side(copies(tmp_path, sizes, 0.6), boxes) == 500


def test_photographs_that_are_cropped_to_their_boxes_are_detected(tmp_path: Path) -> None:
    boxes = np.array([[100, 100, 300.4, 200], [10, 10, 300, 479.6], [0, 0, 60, 90]])
    crops = copies(tmp_path, [(300, 200), (300, 480), (500, 400)], 1.0)
    assert are_crops(crops, boxes)
    assert not are_crops(crops[1:], boxes[1:])  # half of them
    assert not are_crops([], boxes[:0])


def test_a_box_covers_the_same_share_of_a_smaller_copy(tmp_path: Path) -> None:
    data = replace(benchmark(tmp_path), masks=())
    box = np.tile(np.array([100.0, 50.0, 250.0, 300.0]), (len(data.images), 1))
    geometry = Geometry("shorter-side", 64)
    masks = []
    for scale, side in ((1.0, None), (0.5, 500)):
        Image.new("RGB", (round(500 * scale), round(400 * scale))).save(data.image_path(0))
        at_scale: Benchmark = replace(data, boxes=box, published_side=side)
        assert scale_on_disk(at_scale, (round(500 * scale), round(400 * scale))) == scale
        masks.append(object_mask(at_scale, 0, geometry))
    assert 0.2 < masks[0].mean() < 0.9
    assert (masks[0] != masks[1]).mean() < 0.02


def test_a_photograph_smaller_than_the_copies_keeps_its_scale(tmp_path: Path) -> None:
    files = copies(tmp_path, [(384, 256), (256, 341), (230, 158), (512, 256)], 1.0)
    assert copied_side(files) == 256
    assert copied_side(files[1:3]) == copied_side([]) == 0  # no side that most have in common
    data = replace(benchmark(tmp_path), published_side=500, copied_side=256)
    assert scale_on_disk(data, (230, 158)) == 1
    assert scale_on_disk(data, (384, 256)) == 384 / 500
