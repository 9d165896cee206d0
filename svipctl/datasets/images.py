"""Decode, transform and normalise images: the deterministic and the random part of a transform.

The deterministic part (`Geometry`) depends on the file only, so that its pixels can be packed
(`svipctl.datasets.packed_pixels`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from svipctl.errors import ConfigError, DataError, explained_damage, first_line
from svipctl.files import open_regular

CROP_RATIO = 224 / 256  # ratio of the centre crop to the resized shorter side, as in the published transforms
_ASPECT = (3 / 4, 4 / 3)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats, detected by content, not by file name. Pillow supports more, some of which execute programs (PostScript)."""
_MOST_DECODED = {"JPEG": 178_956_970, "MPO": 178_956_970, "WEBP": 44_739_242, "": 89_478_485}
"""Maximum number of pixels per format (others: ""); Pillow's own limit for JPEG, lower where a decoder needs several
copies.
"""
_TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> operation that makes the image upright."""
_SIDEWAYS = 5  # orientations from here on exchange width and height
_MOST_PIXELS = 2**26  # maximum sides of a whole resized image; an image of 1 x 60,000 would become 256 x 15 million

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB."""


@dataclass(frozen=True)
class Geometry:
    """The deterministic part of a transform: bilinear PIL geometry (method section 6, "Images")."""

    resize: Literal["shorter-side", "square", "none"]
    """To a square, directly or by a centre crop; `none` keeps the decoded size."""
    size: int = 0
    """Side of that square."""

    @property
    def key(self) -> str:
        """Name of the geometry in file names."""
        return "decoded" if self.resize == "none" else f"{self.resize}-{self.size}"

    def placement(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the size to which an image of a size is resized, and the left and top side of the crop in it.

        As torchvision resizes and crops: the longer side is rounded down, the corner to the nearest even half.
        `shorter-side` does not change an image of the input size.
        """
        if self.resize == "square":
            return (self.size, self.size), (0, 0)
        if self.resize == "none" or size == (self.size, self.size):
            return size, (0, 0)
        shorter = round(self.size / CROP_RATIO)
        wide, high = (int(shorter * side / min(size)) for side in size)
        return (wide, high), (round((wide - self.size) / 2), round((high - self.size) / 2))

    def __call__(self, image: Image.Image) -> Pixels:
        """Return the pixels of an RGB image."""
        if self.resize == "none":
            return np.asarray(image)
        resized, (left, top) = self.placement(image.size)
        box = (left, top, left + self.size, top + self.size)
        if math.prod(resized) <= _MOST_PIXELS:
            return np.asarray(image.resize(resized, Image.Resampling.BILINEAR).crop(box))
        # Without computing the rest of a very long image.
        x0, y0, x1, y1 = (edge * length / side for edge, length, side in zip(box, image.size * 2, resized * 2))
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=(x0, y0, x1, y1)))


@dataclass(frozen=True)
class Transform:
    """Transform of images into the network's input, in training with a random part."""

    size: int
    resize: Literal["shorter-side", "square"] = "shorter-side"
    augment: Literal["none", "flip", "crop-and-flip"] = "none"
    crop_scale: tuple[float, float] = (0.08, 1.0)
    test_resize: Literal["shorter-side", "square"] = "shorter-side"
    """Resizing in `for_evaluation`."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return an RGB image as uint8 (3, size, size), without anything random."""
        return channels_first(Geometry(self.resize, self.size)(image))

    @property
    def for_evaluation(self) -> Transform:
        """Transform of every test image, without anything random."""
        return Transform(self.size, self.test_resize, test_resize=self.test_resize)

    @property
    def crops(self) -> bool:
        """True if training takes random crops of whole images."""
        return self.augment == "crop-and-flip"

    @property
    def training_geometry(self) -> Geometry:
        """Geometry before the random part."""
        return Geometry("none") if self.crops else Geometry(self.resize, self.size)

    def randomised(self, pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, bool]:
        """Apply the random part to a training image.

        Args:
            pixels: Pixels from `training_geometry`.
            rng: Random generator of this image in this epoch.

        Returns:
            Pixels (size, size, 3), and True if `mirrored` must mirror them, which it does for a whole batch.

        """
        if self.crops:
            top, left, height, width = self._crop_box(pixels.shape[0], pixels.shape[1], rng)
            cropped = Image.fromarray(np.ascontiguousarray(pixels[top : top + height, left : left + width]))
            pixels = np.asarray(TF.resize(cropped, [self.size, self.size], InterpolationMode.BILINEAR))
        return pixels, self.draws_flip(rng)

    def draws_flip(self, rng: np.random.Generator) -> bool:
        """Return True if an image must be mirrored."""
        return self.augment != "none" and bool(rng.random() < 0.5)

    def _crop_box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Return top, left, height, width of a random crop, as torchvision draws it (ten tries, then the largest in
        the centre).
        """
        for _ in range(10):
            area = width * height * rng.uniform(*self.crop_scale)
            ratio = np.exp(rng.uniform(*np.log(_ASPECT)))
            w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
        w, h = min(width, round(height * _ASPECT[1])), min(height, round(width / _ASPECT[0]))
        return (height - h) // 2, (width - w) // 2, h, w


def channels_first(pixels: Pixels) -> Tensor:
    """Return pixels (H, W, 3) as a separate tensor, uint8 (3, H, W)."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Return images (B, 3, H, W), horizontally mirrored where `which` (B,) is True, on their device."""
    return torch.where(which.to(images.device, non_blocking=True).view(-1, 1, 1, 1), images.flip(3), images)


def decode(source: Path | Image.Image, *, upright: bool = True, on_black: bool = False) -> Image.Image:
    """Return an image as RGB: the first frame of an animation, the upper 8 bits of 16-bit grey.

    Args:
        source: The file, or a PIL image, which is not changed.
        upright: Rotate a photograph by its EXIF orientation. The published data sets are read without rotation.
        on_black: Draw transparent pixels on black. By default the transparency is ignored.

    Raises:
        DataError: The file is missing, not an image, too large, or truncated.

    """
    # In a function that returns, so that two copies are in memory instead of three.
    image, orientation = _loaded(source, on_black)
    turn = _TURNS[orientation] if upright else None
    return image if turn is None else image.transpose(turn)


def image_size(path: Path, *, upright: bool) -> tuple[int, int]:
    """Return width and height of the result of `decode`, from the header of the file if possible.

    Raises:
        DataError: The file is missing or not an image.

    """
    with _opened(path) as image:
        if image.format == "TIFF":
            image.load()  # Pillow rotates these itself
        width, height = image.size
        return (height, width) if upright and exif_orientation(image) >= _SIDEWAYS else (width, height)


def stored_orientation(path: Path) -> int:
    """Return the EXIF orientation of an image file; same errors as `image_size`."""
    with _opened(path) as image:
        return exif_orientation(image)


def exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 (upright) if there is none or it is unreadable."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # Pillow raises any exception for a damaged value; the image itself may be intact
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _loaded(source: Path | Image.Image, on_black: bool) -> tuple[Image.Image, int]:
    """Return an image as RGB, without rotation, and its EXIF orientation."""
    with _opened(source) as image:
        image.load()
        eight_bits = _eight_bits(image)
        if on_black and eight_bits.has_transparency_data:
            eight_bits = Image.alpha_composite(Image.new("RGBA", image.size, "black"), eight_bits.convert("RGBA"))
        return eight_bits if eight_bits.mode == "RGB" else eight_bits.convert("RGB"), exif_orientation(image)


@contextmanager
def _opened(source: Path | Image.Image) -> Iterator[Image.Image]:
    """Yield an image with only its header decoded; Pillow's exceptions become DataError."""
    path = source if isinstance(source, Path) else getattr(source, "filename", "") or "given as a PIL image"
    # Pillow's decoders raise any exception for a damaged file.
    with explained_damage(
        f"image {path}", "does not decode", todo="replace it, or remove it from the data set", why=_why
    ):
        try:
            if isinstance(source, Image.Image):
                _check_size(source)
                yield source
                return
            with open_regular(source) as file, Image.open(file, formats=FORMATS) as image:
                largest = _MOST_DECODED.get(image.format or "", _MOST_DECODED[""])
                _check_size(image, largest)
                yield image
        except (ConfigError, DataError) as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                raise DataError(f"image not found: {path}", todo="check the path, or quote the pattern") from error
            if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a name too long)
                raise DataError(f"there is no image in the folder {path}") from error
            raise DataError(f"image {error.what}", why=error.why, todo=error.todo) from error


def _why(error: Exception) -> str:
    return "cannot identify its format" if isinstance(error, UnidentifiedImageError) else first_line(error)


def _check_size(image: Image.Image, largest: float = math.inf) -> None:
    if not 0 < math.prod(image.size) <= largest:
        at_most = "" if largest == math.inf else f"; at most {largest:,} are decoded"
        raise ValueError(f"it has {math.prod(image.size):,} pixels{at_most}")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return 16-bit grey as 8-bit grey; PIL's own conversion would clip it to white."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF, where Pillow ignores both: number of bits, and 1 if 0 is black
    if image.mode.startswith("I;16") and tags.get(258, (16,)) == (16,) and tags.get(262, 1) == 1:
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode.startswith(("I", "F")):
        raise ValueError("its pixels have an unknown range")
    return image


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and standard deviation of pixels in 0..1."""

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return uint8 (B, 3, H, W) as normalized float (B, 3, H, W) on the same device."""
        mean, std = (_channels(tuple(values), dtype, images.device) for values in (self.mean, self.std))
        return (images.to(dtype) / 255 - mean) / std


@cache
def _channels(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (3, 1, 1) on the device, cached because copying numbers to a GPU waits for all its work."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).view(3, 1, 1)


NORMALISATIONS = {
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Normalizations by their name in `data.normalise`; ImageNet's is the published code's."""
