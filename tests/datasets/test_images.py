"""Decoding, the transforms against torchvision's, and randomness that depends on seed, epoch and image alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import ImageDataset, Normalisation, Transform, batches, decode, epoch_order
from svipctl.errors import DataError


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image).transpose(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(300, 200), (90, 400), (224, 225), (50, 50)])
def test_the_evaluation_transform_is_resize_256_and_centre_crop_224(width: int, height: int) -> None:
    image = picture(width, height)
    oracle = Compose([Resize(256, InterpolationMode.BILINEAR), CenterCrop(224)])
    assert torch.equal(Transform(224)(image), pixels(oracle(image)))


def test_the_square_transform_is_a_resize() -> None:
    image = picture(90, 60)
    assert torch.equal(Transform(32, resize="square")(image), pixels(Resize((32, 32))(image)))


def test_evaluation_has_nothing_random_and_the_published_resize() -> None:
    assert Transform(32, "square", "crop-and-flip").for_evaluation == Transform(32)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "LA", "1"])
def test_pictures_of_every_mode_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    original = picture(20, 10).convert(mode)
    original.save(path)
    found = decode(path)
    assert (found.mode, found.size) == ("RGB", (20, 10))
    assert np.array_equal(np.array(found), np.array(original.convert("RGB")))


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_does_not_decode_is_our_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match="does not decode"):
        decode(tmp_path / "a.jpg")


def test_a_picture_cut_short_and_a_missing_one_are_our_errors(tmp_path: Path) -> None:
    picture(64, 64).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:900])
    with pytest.raises(DataError, match="does not decode"):
        decode(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="is missing"):
        decode(tmp_path / "b.jpg")


def test_the_random_part_depends_on_seed_epoch_and_image_only(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    transform = Transform(32, augment="crop-and-flip")

    def sample(order: list[int], wanted: int, seed: int = 1, epoch: int = 0) -> torch.Tensor:
        dataset = ImageDataset(benchmark, np.array(order), transform, seed=seed, epoch=epoch)
        image, index = dataset[order.index(wanted)]
        assert index == wanted
        return image

    first = sample([5, 6, 7], 6)
    assert torch.equal(first, sample([6], 6))
    assert torch.equal(first, sample([9, 7, 6], 6))
    assert not torch.equal(first, sample([6], 6, seed=2))
    assert not torch.equal(first, sample([6], 6, epoch=1))


def test_a_flip_is_a_mirror_and_happens_to_about_half_of_the_images() -> None:
    image = picture(32, 32)
    plain, transform = pixels(image), Transform(32, augment="flip")
    outcomes = [transform(image, np.random.default_rng(number)) for number in range(200)]
    flipped = [torch.equal(outcome, plain.flip(2)) for outcome in outcomes]
    assert all(mirrored or torch.equal(outcome, plain) for mirrored, outcome in zip(flipped, outcomes))
    assert 70 < sum(flipped) < 130


@pytest.mark.parametrize(("width", "height"), [(400, 20), (20, 400), (33, 70)])
def test_a_random_crop_of_any_shape_has_the_wanted_size(width: int, height: int) -> None:
    transform = Transform(32, augment="crop-and-flip", crop_scale=(0.9, 1.0))
    assert transform(picture(width, height), np.random.default_rng(0)).shape == (3, 32, 32)


def test_the_order_of_an_epoch_is_a_permutation_of_its_own() -> None:
    indices = np.arange(3, 40)
    one = epoch_order(indices, seed=1, epoch=0, shuffle=True)
    assert np.array_equal(np.sort(one), indices)
    assert np.array_equal(one, epoch_order(indices, seed=1, epoch=0, shuffle=True))
    assert not np.array_equal(one, epoch_order(indices, seed=1, epoch=1, shuffle=True))
    assert not np.array_equal(one, epoch_order(indices, seed=2, epoch=0, shuffle=True))
    assert np.array_equal(indices, epoch_order(indices, seed=1, epoch=0, shuffle=False))


def test_batches_keep_the_order_and_the_last_may_be_smaller(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    order = np.array([4, 0, 9, 2, 7])
    found = list(batches(ImageDataset(benchmark, order, Transform(32)), 2))
    assert [indices.tolist() for _, indices in found] == [[4, 0], [9, 2], [7]]
    assert torch.equal(found[2][0][0], pixels(decode(benchmark.image_path(7))))


def test_normalisation_by_hand() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    found = Normalisation((0.5, 0.0, 0.25), (0.5, 1.0, 0.25))(images)
    assert found[0, :, 0].tolist() == [[-1, 1], [0, 1], [-1, 3]]
