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
from svipctl.errors import ConfigError, DataError
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


def drawn(size: tuple[int, int] = (32, 32), *, white: int = 255) -> Image.Image:
    return Image.fromarray(
        np.kron(np.array([[white, 0], [0, 0]], np.uint8), np.ones((size[1] // 2, size[0] // 2), np.uint8))
    )


EMPTY = Image.new("L", (32, 32))
PHOTOGRAPH = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (drawn(white=1), "does not show the object"),  # labels 0 and 1
        (Image.fromarray(np.asarray(drawn()).astype(np.uint16)), "does not show the object"),  # 255 of 65535
        (Image.merge("RGBA", [EMPTY, EMPTY, EMPTY, drawn()]), "does not show the object"),  # in alpha
        (Image.merge("RGBA", [*PHOTOGRAPH.split(), drawn()]), "does not show the object"),  # a cut-out
        (PHOTOGRAPH, "does not show the object"),
        (Image.merge("RGB", [drawn().point(lambda value: 255 - value), drawn(), EMPTY]), "does not show the object"),
        (Image.merge("LA", [EMPTY.point(lambda value: 255), drawn()]), ""),  # white, transparent elsewhere
        (Image.merge("LA", [drawn(), drawn()]), ""),
        (drawn((64, 32)), "does not fit its image"),
        (drawn((128, 128)), ""),
    ],
)
def test_a_mask_shows_the_object_in_the_shape_of_its_image(mask: Image.Image, problem: str, data: Benchmark) -> None:
    Image.new("RGB", (32, 32)).save(data.image_path(0))  # which `shorter-side` does not resize, unlike the mask
    mask.save(data.root / "mask.png")
    masked = replace(data, masks=("mask.png",) * len(data.images))
    if problem:
        with pytest.raises(DataError, match=problem):
            object_coverage(masked, np.array([0]), Geometry("shorter-side", 32), 2, 2)
        return
    shares = object_coverage(masked, np.array([0]), Geometry("shorter-side", 32), 2, 2).shares
    np.testing.assert_allclose(shares, [[[1, 0], [0, 0]]], atol=0.02)


@pytest.mark.parametrize(
    ("image", "mask"), [((341, 256), (1600, 1200)), ((342, 256), (2048, 1536)), ((100, 67), (1000, 667))]
)
def test_a_mask_of_another_size_fits_an_image_whose_sides_were_rounded(
    image: tuple[int, int], mask: tuple[int, int], data: Benchmark
) -> None:
    Image.new("RGB", image).save(data.image_path(0))
    Image.new("L", mask, 255).save(data.root / "mask.png")
    masked = replace(data, masks=("mask.png",) * len(data.images))
    assert object_coverage(masked, np.array([0]), Geometry("shorter-side", 32), 2, 2).shares.min() == 1


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
