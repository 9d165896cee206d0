"""Test decoding, and compare the transforms with torchvision's."""

from __future__ import annotations

import errno
import gzip
import os
import socket
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, RandomResizedCrop, Resize
from torchvision.transforms import functional as TF

from svipctl.datasets import images as images_module
from svipctl.datasets.images import Geometry, Normalisation, Transform, decode, exif_orientation, image_size, mirrored
from svipctl.errors import DataError, ReadError


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


def test_evaluation_is_not_random_and_has_the_published_resize() -> None:
    assert Transform(32, "square", "crop-and-flip").for_evaluation == Transform(32)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "LA", "1"])
def test_images_of_every_mode_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    original = picture(20, 10).convert(mode)
    original.save(path)
    found = decode(path)
    assert (found.mode, found.size) == ("RGB", (20, 10))
    assert np.array_equal(np.array(found), np.array(original.convert("RGB")))


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_an_undecodable_file_is_a_data_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match="does not decode"):
        decode(tmp_path / "a.jpg")


def test_a_truncated_image_and_a_missing_one_are_data_errors(tmp_path: Path) -> None:
    picture(64, 64).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:900])
    with pytest.raises(DataError, match="does not decode"):
        decode(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="image not found"):
        decode(tmp_path / "b.jpg")


def test_postscript_is_not_executed_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(run) print showpage\n")
    with Image.open(path) as image:
        assert image.format == "EPS"  # what Pillow would pass to Ghostscript
    with pytest.raises(DataError, match="cannot identify"):
        decode(path)


def exif(orientation: object) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_a_damaged_exif_value_loses_neither_the_image_nor_its_orientation(tmp_path: Path) -> None:
    tags = exif(6)
    tags[0x0100] = 9  # a width of type 4, a number
    picture(8, 6).save(tmp_path / "a.jpg", exif=tags)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole.replace(b"\1\0\0\4", b"\1\0\0\2"))  # now its type is text
    assert decode(tmp_path / "a.jpg").size == (6, 8)


@pytest.mark.parametrize("orientation", [0, 9, 65535, 2**31, "6", b"\xff", (6, 6), 6.5])
def test_an_invalid_orientation_leaves_an_image_unchanged(orientation: object) -> None:
    image = picture(8, 6)
    image.getexif()[0x0112] = orientation
    assert exif_orientation(image) == 1
    assert decode(image).size == (8, 6)


@settings(max_examples=150)
@given(place=st.integers(20, 120), junk=st.binary(min_size=1, max_size=12))
def test_an_image_with_exif_of_any_bytes_is_decoded(place: int, junk: bytes) -> None:
    """Damage the EXIF data only: 6 bytes of SOI and APP1's marker and length precede it."""
    file, tags = BytesIO(), exif(6)
    tags[0x010F], tags[0x8769] = "maker", {0x9003: "2026:01:01 00:00:00"}
    picture(8, 6).save(file, "JPEG", exif=tags)
    content = bytearray(file.getvalue())
    end = 4 + int.from_bytes(content[4:6], "big")
    content[min(place, end - len(junk)) : min(place, end - len(junk)) + len(junk)] = junk
    assert sorted(decode(Image.open(BytesIO(content))).size) == [6, 8]


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image in the folder"):
        decode(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(300, 200), (3000, 2), (3000, 1), (2, 3000), (1, 3000)])
def test_resizing_only_the_centre_gives_the_same_pixels(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(width, height)
    whole = Transform(32)(image).int()
    monkeypatch.setattr(images_module, "_MOST_PIXELS", 0)
    # Pillow rounds after each axis, and the order of the axes depends on the sizes: one level.
    assert (Transform(32)(image).int() - whole).abs().max() <= 1


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
def test_a_long_thin_image_is_never_resized_as_a_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TF, "resize", lambda *_: pytest.fail("256 x 15 million pixels, 12 GB"))
    assert Transform(224)(Image.new("RGB", size, (9, 8, 7)))[:, 0, 0].tolist() == [9, 8, 7]


def test_about_half_of_the_images_are_mirrored_and_none_without_augmentation() -> None:
    image = np.asarray(picture(32, 32))
    outcomes = [Transform(32, augment="flip").randomised(image, np.random.default_rng(seed)) for seed in range(200)]
    assert all(np.array_equal(found, image) for found, _ in outcomes)
    assert 70 < sum(mirror for _, mirror in outcomes) < 130
    assert not any(Transform(32).randomised(image, np.random.default_rng(seed))[1] for seed in range(50))


def test_only_the_chosen_images_of_a_batch_are_mirrored() -> None:
    images = torch.arange(2 * 3 * 2 * 3, dtype=torch.uint8).view(2, 3, 2, 3)
    found = mirrored(images, torch.tensor([False, True]))
    assert torch.equal(found[0], images[0])
    assert found[1, 0].tolist() == [[20, 19, 18], [23, 22, 21]]


@pytest.mark.parametrize(("width", "height"), [(400, 20), (20, 400), (33, 70), (1, 1)])
def test_a_random_crop_of_any_shape_has_the_wanted_size(width: int, height: int) -> None:
    transform = Transform(32, augment="crop-and-flip", crop_scale=(0.9, 1.0))
    found, _ = transform.randomised(np.asarray(picture(width, height)), np.random.default_rng(0))
    assert found.shape == (32, 32, 3)


def test_a_random_crop_is_a_crop_resized_as_torchvision_does() -> None:
    image, transform = picture(90, 60), Transform(32, augment="crop-and-flip", crop_scale=(0.3, 0.9))
    oracle = RandomResizedCrop(32, (0.3, 0.9))
    for seed in range(20):
        found, _ = transform.randomised(np.asarray(image), np.random.default_rng(seed))
        top, left, height, width = transform._crop_box(60, 90, np.random.default_rng(seed))
        assert 0.2 < height * width / 5400 < 1
        expected = TF.resized_crop(image, top, left, height, width, list(oracle.size), oracle.interpolation)
        assert np.array_equal(found, np.asarray(expected))


def test_the_deterministic_part_of_a_transform_is_named_after_its_geometry() -> None:
    assert Transform(32, augment="crop-and-flip").training_geometry == Geometry("none")
    keys = [Transform(32).training_geometry.key, Transform(64, "square", "flip").training_geometry.key]
    assert [*keys, Geometry("none").key] == ["shorter-side-32", "square-64", "decoded"]


def test_normalisation_equals_the_formula() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    found = Normalisation((0.5, 0.0, 0.25), (0.5, 1.0, 0.25))(images)
    assert found[0, :, 0].tolist() == [[-1, 1], [0, 1], [-1, 3]]


def test_sixteen_bit_grey_is_scaled_and_not_clipped_to_white(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(grey * 256 + 17).save(tmp_path / "deep.png")
    assert np.array_equal(np.asarray(decode(tmp_path / "deep.png"))[..., 0], grey.astype(np.uint8))


ENDINGS = ("jpg", "png", "webp", "tif")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_is_undone_in_every_format(orientation: int, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"turned.{ending}"
    upright = Image.new("RGB", (48, 32), "red")  # quarters of four colours, which survive JPEG
    for place, colour in (((24, 0), "lime"), ((0, 16), "blue"), ((24, 16), "white")):
        upright.paste(Image.new("RGB", (24, 16), colour), place)
    stored = ImageOps.exif_transpose(with_orientation(upright, INVERSE[orientation]))
    stored.save(path, exif=exif(orientation), quality=95)
    found = decode(path)
    corners = [found.getpixel(place) for place in ((6, 4), (42, 4), (6, 28), (42, 28))]
    expected = [upright.getpixel(place) for place in ((6, 4), (42, 4), (6, 28), (42, 28))]
    assert found.size == image_size(path, upright=True) == (48, 32)
    assert np.abs(np.array(corners) - np.array(expected)).max() < 40
    if ending != "tif":  # which Pillow itself rotates
        assert decode(path, upright=False).size == image_size(path, upright=False) == stored.size


INVERSE = {6: 8, 8: 6} | {same: same for same in (1, 2, 3, 4, 5, 7)}
"""EXIF orientation -> its inverse."""


def with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    image = image.copy()
    image.getexif()[0x0112] = orientation
    return image


HOSTILE = {
    "a FIFO": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to(path.with_name("gone")),
    "a text": lambda path: path.write_text("no picture"),
    "a gzip bomb": lambda path: path.write_bytes(gzip.compress(bytes(10**6))),
    "170 million pixels": lambda path: path.write_bytes(huge(13_000, 13_000)),
    "a side of 2 ** 31 pixels": lambda path: path.write_bytes(huge(2**31 - 1, 1)),
    "no pixel": lambda path: path.write_bytes(huge(0, 5)),
    "a broken WebP": lambda path: path.write_bytes(b"RIFF\x40\0\0\0WEBPVP8X" + bytes(range(48))),
    "a broken GIF": lambda path: path.write_bytes(b"GIF89a\4\0\4\0\x80\0\0" + bytes(40)),
    "a broken TIFF": lambda path: path.write_bytes(b"II*\0\x08\0\0\0\xff\xff" + bytes(range(200))),
}


def huge(width: int, height: int) -> bytes:
    """Return a PNG whose header declares a large size, with almost no content."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(b""), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_unusable_file_with_an_image_name_is_refused_at_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    HOSTILE[kind](Path("a.png"))
    for read in (decode, lambda path: image_size(path, upright=True)):
        with pytest.raises(DataError, match=r"a\.png") if read is decode else suppress(DataError):
            read(Path("a.png"))


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "a\0.png", "b/c.png"])
def test_an_impossible_image_name_is_a_data_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    with pytest.raises(DataError):
        decode(tmp_path / name)


def grey_tiff(bits: int, black: int) -> bytes:
    """Return a TIFF of 2 x 1 pixels; `black` is the tag of photometric interpretation, 1 if 0 is black."""
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: black, 273: 8, 277: 1, 278: 1, 279: bits // 4}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I4sH", 12, b"\0\x04\0\x08", len(tags)) + table + bytes(4)


def float_tiff() -> bytes:
    content = BytesIO()
    Image.new("F", (4, 4), 0.5).save(content, "TIFF")
    return content.getvalue()


@pytest.mark.parametrize("content", [float_tiff(), grey_tiff(12, 1), grey_tiff(16, 0)])
def test_pixels_without_a_known_brightness_are_a_data_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tiff").write_bytes(grey_tiff(16, 1))
    assert np.asarray(decode(tmp_path / "a.tiff"))[..., 0].tolist() == [[4, 8]]
    (tmp_path / "a.tiff").write_bytes(content)
    with pytest.raises(DataError, match="unknown range"):
        decode(tmp_path / "a.tiff")


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_a_failure_of_the_machine_is_not_damage(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: Image.Image) -> None:
        raise failure

    picture(4, 4).save(tmp_path / "a.bmp")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises((ReadError, MemoryError)):
        decode(tmp_path / "a.bmp")


@pytest.mark.parametrize("size", [(0, 0), (0, 7), (7, 0)])
def test_an_image_without_pixels_is_a_data_error(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="it has 0 pixels"):
        decode(Image.new("RGB", size))
