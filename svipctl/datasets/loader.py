"""Load images of a benchmark in batches, decoded or from packed pixels.

The random part of a sample depends only on (seed, epoch, image), not on the worker or the order, so that a run
gives the same numbers for any number of workers, packed or not, and can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry, Pixels, Transform, channels_first, decode
from svipctl.datasets.packed_pixels import PackedImages
from svipctl.datasets.workers import load_items
from svipctl.errors import DataError


class Sample(NamedTuple):
    """One image."""

    image: Tensor
    """uint8 (3, size, size)."""
    image_index: int
    """Index in the benchmark."""
    mirror: bool
    """True if training mirrors the image."""


class Batch(NamedTuple):
    """B images."""

    images: Tensor
    """uint8 (B, 3, size, size)."""
    indices: Tensor
    """(B,) indices in the benchmark."""
    mirror: Tensor
    """(B,) True for images to mirror by `svipctl.datasets.images.mirrored`, on the device."""


@dataclass(eq=False)
class ImageDataset(Dataset["Sample | DataError"]):
    """Images of a benchmark by index.

    Args:
        benchmark: Data set of the images.
        indices: Indices of the images, in this order.
        transform: Transform of the images.
        seed: Seed of the random part, with the epoch; None for evaluation.
        epoch: Epoch, counted from 0.
        packed: Pixels of the transform's deterministic part, read instead of the files.

    """

    benchmark: InitVar[Benchmark]
    indices: Indices
    transform: Transform
    _: KW_ONLY
    seed: int | None = None
    epoch: int = 0
    packed: PackedImages | None = None

    def __post_init__(self, benchmark: Benchmark) -> None:
        self.root, self.upright = benchmark.root, benchmark.upright
        self.files = [benchmark.images[index] for index in self.indices]
        geometry = Geometry(self.transform.resize, self.transform.size)
        self.geometry = geometry if self.seed is None else self.transform.training_geometry

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample | DataError:
        try:
            pixels = self._pixels(position)
        except DataError as error:
            return error  # raised by `batches`: an exception from a worker process would lose its explanation
        mirror, rng = False, self._random(position)
        if rng is not None:
            pixels, mirror = self.transform.randomised(pixels, rng)
        return Sample(channels_first(pixels), int(self.indices[position]), mirror)

    @property
    def is_ready_made(self) -> bool:
        """True if the packed pixels already have the input size."""
        return self.packed is not None and self.geometry.resize != "none"

    def gather(self, start: int, stop: int, *, pin_memory: bool = False) -> Batch:
        """Return the images at these positions from the packed pixels, which must be ready-made."""
        assert self.packed is not None
        side = self.geometry.size
        images = torch.empty((stop - start, 3, side, side), dtype=torch.uint8, pin_memory=pin_memory)
        self.packed.gather(self.files[start:stop], images.numpy())
        return Batch(
            images, torch.from_numpy(self.indices[start:stop].astype(np.int64)), self.draw_mirrors(start, stop)
        )

    def draw_mirrors(self, start: int, stop: int) -> Tensor:
        """Return an array (stop - start,) of bools, True for images that training mirrors, if it takes no random
        crops.
        """
        draws = [self._random(position) for position in range(start, stop)]
        return torch.tensor([rng is not None and self.transform.draws_flip(rng) for rng in draws])

    def _pixels(self, position: int) -> Pixels:
        """Return the pixels after the deterministic part."""
        if self.packed is not None:
            return self.packed.pixels(self.files[position])
        return self.geometry(decode(self.root / self.files[position], upright=self.upright))

    def _random(self, position: int) -> np.random.Generator | None:
        if self.seed is None:
            return None
        return np.random.default_rng([self.seed, 3, self.epoch, int(self.indices[position])])


def epoch_order(indices: Indices, *, seed: int, epoch: int, shuffle: bool) -> Indices:
    """Return the order of the training images in an epoch, a function of the arguments only."""
    return np.random.default_rng([seed, 4, epoch]).permutation(indices) if shuffle else indices


def batches(
    dataset: ImageDataset, batch_size: int, *, workers: int = 0, pin_memory: bool = False
) -> Generator[Batch, None, None]:
    """Yield batches in order; the last may be smaller. Ready-made pixels need no workers.

    Close the generator (`contextlib.closing`) if the loop may end early, so that the workers end.

    Raises:
        DataError: An image is missing or does not decode.

    """
    if dataset.is_ready_made:
        for start in range(0, len(dataset), batch_size):
            yield dataset.gather(start, min(start + batch_size, len(dataset)), pin_memory=pin_memory)
        return
    workers = workers if len(dataset) > batch_size else 0
    yield from load_items(dataset, workers=workers, batch_size=batch_size, collate=_collate, pin_memory=pin_memory)


@dataclass(frozen=True)
class EpochImages:
    """Training images of any epoch, in batches.

    Args:
        benchmark: Data set of the images.
        transform: Transform of training.
        seed: Seed of the random part, with the epoch.
        packed: As for `ImageDataset`.

    """

    benchmark: Benchmark
    transform: Transform
    seed: int
    packed: PackedImages | None = None

    def of(self, epoch: int, indices: Indices) -> ImageDataset:
        """Return these images for an epoch, counted from 0."""
        return ImageDataset(self.benchmark, indices, self.transform, seed=self.seed, epoch=epoch, packed=self.packed)

    def __getitem__(self, wanted: tuple[int, Indices]) -> Batch | DataError:
        dataset = self.of(*wanted)
        return _collate([dataset[position] for position in range(len(dataset))])

    def batches(
        self, order: Iterable[tuple[int, Indices]], *, workers: int = 0, pin_memory: bool = False
    ) -> Generator[Batch, None, None]:
        """Yield batches in order, over as many epochs as there are with the same workers.

        Close the generator as that of `batches`; same errors.

        Args:
            order: Epoch and images of each batch.
            workers: Number of worker processes, which load ahead, even past the end of an epoch.
            pin_memory: Pin the memory of tensors, for a GPU.

        """
        if self.of(0, np.zeros(0, dtype=np.int64)).is_ready_made:
            for epoch, indices in order:
                yield self.of(epoch, indices).gather(0, len(indices), pin_memory=pin_memory)
            return
        yield from load_items(self, order=order, workers=workers, pin_memory=pin_memory)


def _collate(samples: list[Sample | DataError]) -> Batch | DataError:
    """Return a batch, or the first error among its samples."""
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
        good.append(sample)
    images, indices, mirror = zip(*good)
    return Batch(torch.stack(images), torch.tensor(indices), torch.tensor(mirror))
