"""Test that photographs are upright in training, evaluation, packed pixels, prediction and figures."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import svipctl
from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Geometry, Transform
from svipctl.datasets.loader import ImageLoader
from svipctl.datasets.object_masks import object_mask
from svipctl.datasets.packed_pixels import find_pack, pack, plan_pack
from svipctl.errors import DataError
from svipctl.inference.find_images import find_pictures
from svipctl.inference.image_sources import read_batches
from tests.conftest import write_small_folder

INVERSE = {6: 8, 8: 6}
GEOMETRY, CROPS = Geometry("shorter-side", 16), Transform(16, augment="crop-and-flip")


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """Return a data folder of images that are wider than high."""
    root = write_small_folder(tmp_path_factory.mktemp("upright") / "small")
    for path in sorted((root / "images").rglob("*.png")):
        with Image.open(path) as image:
            image.crop((0, 4, 32, 24)).save(path)
    return open_folder(root)


@pytest.fixture(scope="module")
def photographs(upright: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """Return the same images, each stored in one of the eight EXIF orientations."""
    root = Path(shutil.copytree(upright.root, tmp_path_factory.mktemp("turned") / "small"))
    for path, orientation in zip(sorted((root / "images").rglob("*.png")), cycle(range(1, 9))):
        with Image.open(path) as image:
            image.getexif()[0x0112] = INVERSE.get(orientation, orientation)
            stored, exif = ImageOps.exif_transpose(image), Image.Exif()
        exif[0x0112] = orientation
        stored.save(path, exif=exif)
    return open_folder(root)


def evaluated(benchmark: Benchmark) -> torch.Tensor:
    return ImageLoader(benchmark, Transform(16))[0, np.arange(len(benchmark.images))].images  # type: ignore[union-attr]


def trained_on(benchmark: Benchmark) -> torch.Tensor:
    return ImageLoader(benchmark, CROPS, seed=3)[0, benchmark.trainval].images  # type: ignore[union-attr]


def packed(benchmark: Benchmark, geometry: Geometry) -> torch.Tensor:
    pack(plan_pack(benchmark, geometry))
    found, note = find_pack(benchmark, geometry)
    assert found is not None, note
    return torch.stack([torch.from_numpy(found.pixels(file).copy()) for file in found.files])


def predicted(benchmark: Benchmark) -> torch.Tensor:
    files = find_pictures([str(benchmark.root / "images")])
    return torch.stack([pixels for batch in read_batches(files, Transform(16), 8) for _, pixels in batch])  # type: ignore[misc]


READERS: dict[str, Callable[[Benchmark], torch.Tensor]] = {
    "evaluation": evaluated,
    "training": trained_on,
    "packed pixels": lambda benchmark: packed(benchmark, GEOMETRY),
    "packed images for random crops": lambda benchmark: packed(benchmark, Geometry("none")),
    "prediction": predicted,
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_sees_photographs_upright(reader: str, upright: Benchmark, photographs: Benchmark) -> None:
    assert torch.equal(READERS[reader](photographs), READERS[reader](upright))


def test_the_published_data_sets_are_read_as_stored(photographs: Benchmark) -> None:
    stored = evaluated(replace(photographs, upright=False))
    same = (stored == evaluated(photographs)).flatten(1).all(dim=1)
    assert same.tolist() == [number % 8 == 0 for number in range(len(same))]


def test_packed_pixels_that_were_not_turned_upright_are_not_used(photographs: Benchmark) -> None:
    pack(plan_pack(replace(photographs, upright=False), GEOMETRY), force=True)
    found, note = find_pack(photographs, GEOMETRY)
    assert found is None
    assert "without EXIF orientation" in note
    pack(plan_pack(photographs, GEOMETRY))


def test_a_mask_of_another_orientation_is_an_error(photographs: Benchmark, tmp_path: Path) -> None:
    shutil.copytree(photographs.root / "images", tmp_path / "images")
    Image.new("L", (32, 20), 255).save(tmp_path / "mask.png")
    masked = replace(photographs, root=tmp_path, masks=("mask.png",) * len(photographs.images))
    assert object_mask(masked, 5, GEOMETRY).all()
    Image.new("L", (20, 32), 255).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="does not fit its image"):
        object_mask(masked, 5, GEOMETRY)


def test_images_of_a_data_set_have_one_decoder() -> None:
    """Features, figures and exports use one decoder, which each caller passes whether to turn the images upright."""
    decoders, opened = [], []
    for path in sorted(Path(svipctl.__file__).parent.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call):
                name = ast.unparse(call.func)
                keywords = {keyword.arg for keyword in call.keywords}
                if name == "decode" and "upright" not in keywords:
                    decoders.append(path.name)
                if name == "Image.open":
                    opened.append(path.name)
    assert sorted(decoders) == ["object_masks.py", "status.py"]  # masks are upright; checks whether a file decodes
    assert set(opened) == {"images.py"}
