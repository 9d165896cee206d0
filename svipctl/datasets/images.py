"""From image files to batches: decoding, the transform of training and of evaluation, and the loader.

The random part of a sample depends only on (seed, epoch, image), never on who decoded it or in which order, so a run
gives the same numbers for any number of workers and can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.errors import DataError

CROP_RATIO = 224 / 256  # of the centre crop to the resized shorter side, as in the published transforms
_ASPECT = (3 / 4, 4 / 3)

Sample = tuple[Tensor, int]
"""uint8 (3, size, size) and the image's index in the benchmark."""


@dataclass(frozen=True)
class Transform:
    """Bilinear PIL geometry and, in training, its random part (method section 6, "Images").

    An image that has the input size already is taken as it is.
    """

    size: int
    resize: Literal["shorter-side", "square"] = "shorter-side"
    augment: Literal["none", "flip", "crop-and-flip"] = "none"
    crop_scale: tuple[float, float] = (0.08, 1.0)

    def __call__(self, image: Image.Image, rng: np.random.Generator | None = None) -> Tensor:
        """An RGB image as uint8 (3, size, size). Without `rng` the deterministic evaluation transform."""
        if rng is not None and self.augment == "crop-and-flip":
            image = self._random_crop(image, rng)
        elif self.resize == "square":
            image = TF.resize(image, [self.size, self.size], InterpolationMode.BILINEAR)
        elif image.size != (self.size, self.size):
            image = TF.resize(image, [round(self.size / CROP_RATIO)], InterpolationMode.BILINEAR)
            image = TF.center_crop(image, [self.size, self.size])
        pixels = np.asarray(image)
        if rng is not None and self.augment != "none" and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    @property
    def for_evaluation(self) -> Transform:
        """The transform of every test image: shorter side, centre crop, nothing random."""
        return Transform(self.size)

    def _random_crop(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """A random resized crop, as torchvision draws it (ten tries, then the largest centre crop)."""
        width, height = image.size
        for _ in range(10):
            area = width * height * rng.uniform(*self.crop_scale)
            ratio = np.exp(rng.uniform(*np.log(_ASPECT)))
            w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if 0 < w <= width and 0 < h <= height:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                break
        else:
            w, h = min(width, round(height * _ASPECT[1])), min(height, round(width / _ASPECT[0]))
            top, left = (height - h) // 2, (width - w) // 2
        cropped: Image.Image = TF.resized_crop(
            image, top, left, h, w, [self.size, self.size], InterpolationMode.BILINEAR
        )
        return cropped


def decode(path: Path) -> Image.Image:
    """The image file as RGB.

    Raises:
        DataError: Missing, not an image, or cut short.

    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"image {path} is missing") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"image {path} does not decode", why=str(error), todo="replace it, or take it out of the data set"
        ) from error


class ImageDataset(Dataset["Sample | DataError"]):
    """Images of a benchmark by index: uint8 (3, size, size) and the image's index in the benchmark.

    Args:
        benchmark: Where the files are.
        indices: Which images, in this order.
        transform: From `Transform`.
        seed: Of the random part, with the epoch; None for evaluation.
        epoch: Counted from 0.

    """

    def __init__(
        self, benchmark: Benchmark, indices: Indices, transform: Transform, *, seed: int | None = None, epoch: int = 0
    ) -> None:
        self.root = benchmark.root
        self.files = [benchmark.images[index] for index in indices]
        self.indices = indices
        self.transform = transform
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample | DataError:
        index = int(self.indices[position])
        rng = None if self.seed is None else np.random.default_rng([self.seed, 3, self.epoch, index])
        try:
            image = decode(self.root / self.files[position])
        except DataError as error:
            return error  # raised by `batches`: an exception from a worker process would lose its explanation
        return self.transform(image, rng), index


def epoch_order(indices: Indices, *, seed: int, epoch: int, shuffle: bool) -> Indices:
    """The order of the training images in an epoch; a function of its arguments only."""
    return np.random.default_rng([seed, 4, epoch]).permutation(indices) if shuffle else indices


def batches(
    dataset: ImageDataset, batch_size: int, *, workers: int = 0, pin_memory: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches in order: uint8 images (B, 3, size, size) and their indices (B,); the last may be smaller.

    Raises:
        DataError: An image is missing or does not decode.

    """
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers if len(dataset) > batch_size else 0,
        pin_memory=pin_memory,
        collate_fn=_collate,
    )
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


def _collate(samples: list[Sample | DataError]) -> tuple[Tensor, Tensor] | DataError:
    """A batch, or the first error among its samples."""
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
        good.append(sample)
    images, indices = zip(*good)
    return torch.stack(images), torch.tensor(indices)


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and standard deviation of pixels in 0..1."""

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """uint8 (B, 3, H, W) -> normalised float (B, 3, H, W) on the same device."""
        mean = torch.tensor(self.mean, dtype=dtype, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, dtype=dtype, device=images.device).view(3, 1, 1)
        return (images.to(dtype) / 255 - mean) / std
