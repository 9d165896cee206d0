"""Test the place of the object: masks and boxes in the geometry of the network's input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry
from svipctl.datasets.object_masks import object_coverage, window_shares
from svipctl.errors import ConfigError
from tests.evaluation.cases import benchmark


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


def test_the_coverage_is_the_share_of_each_window() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[:4, :2] = True
    assert window_shares(mask, 2, 2).tolist() == [[0.5, 0.0], [0.0, 0.0]]


def boxed(data: Benchmark, box: tuple[float, float, float, float]) -> Benchmark:
    return replace(data, masks=(), boxes=np.tile(np.array(box, dtype=np.float64), (len(data.images), 1)))


def test_a_box_covers_its_windows_and_is_mirrored_with_the_image(data: Benchmark) -> None:
    with Image.open(data.image_path(0)) as image:
        width, height = image.size
    assert width == height
    coverage = object_coverage(
        boxed(data, (0, 0, width / 2, height / 2)), np.array([0, 1]), Geometry("square", 32), 2, 2
    )
    assert coverage.of(torch.tensor([1])).tolist() == [[1, 0, 0, 0]]
    mirrored = coverage.of(torch.tensor([0, 1]), torch.tensor([True, False]))
    assert mirrored.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_a_mask_and_the_box_around_the_same_rectangle_agree(data: Benchmark, tmp_path: Path) -> None:
    with Image.open(data.image_path(0)) as image:
        size = image.size
    mask = Image.new("L", size)
    left, top, right, bottom = size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1]
    mask.paste(255, (left, top, right, bottom))
    mask.save(tmp_path / "mask.png")
    masked = replace(data, root=tmp_path, masks=("mask.png",) * len(data.images))
    geometry = Geometry("shorter-side", 28)
    one = object_coverage(masked, np.array([0]), geometry, 2, 2)
    other = object_coverage(boxed(data, (left, top, right - left, bottom - top)), np.array([0]), geometry, 2, 2)
    assert np.array_equal(one.shares, other.shares)
    assert 0 < one.shares.mean() < 1


def test_a_data_set_without_masks_and_boxes_is_refused(data: Benchmark) -> None:
    with pytest.raises(ConfigError, match="has neither masks nor boxes"):
        object_coverage(replace(data, masks=(), boxes=None), np.array([0]), Geometry("square", 32), 2, 2)
