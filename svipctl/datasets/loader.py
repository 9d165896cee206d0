"""Load images of a benchmark in batches, decoded or from packed pixels.

The random part of an image depends only on (seed, epoch, image), not on the worker or the order, so that a run
gives the same numbers for any number of workers, packed or not, and can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Pixels, Transform, channels_first, decode
from svipctl.datasets.packed_pixels import PackedImages
from svipctl.datasets.workers import load_items
from svipctl.errors import DataError


class Batch(NamedTuple):
    """B images."""

    images: Tensor
    """uint8 (B, 3, size, size)."""
    indices: Tensor
    """(B,) indices in the benchmark."""
    mirror: Tensor
    """(B,) True for images to mirror by `svipctl.datasets.images.mirrored`, on the device."""


@dataclass(frozen=True)
class ImageLoader:
    """Images of a benchmark, as training or evaluation reads them: a batch for an epoch and some images."""

    benchmark: Benchmark
    transform: Transform
    """Transform of training, or `for_evaluation`."""
    seed: int | None = None
    """Seed of the random part, with the epoch; None for evaluation."""
    packed: PackedImages | None = None
    """Pixels of the transform's deterministic part, read instead of the files."""

    def batches(
        self, order: Iterable[tuple[int, Indices]], *, workers: int = 0, pin_memory: bool = False
    ) -> Generator[Batch, None, None]:
        """Yield batches in order, over as many epochs as there are with the same workers.

        Packed pixels that already have the input size need no workers. Close the generator (`contextlib.closing`) if
        the loop may end early, so that the workers end.

        Args:
            order: Epoch, counted from 0, and images of each batch.
            workers: Number of worker processes, which load ahead, even past the end of an epoch.
            pin_memory: Pin the memory of tensors, for a GPU.

        Raises:
            DataError: An image is missing or does not decode.

        """
        if self.packed is None or self.transform.crops:
            yield from load_items(self, order, workers=workers, pin_memory=pin_memory)
            return
        side = self.transform.size
        for epoch, indices in order:
            images = torch.empty((len(indices), 3, side, side), dtype=torch.uint8, pin_memory=pin_memory)
            self.packed.gather(self.benchmark.files(indices), images.numpy())
            yield Batch(images, _tensor(indices), self.draw_mirrors(epoch, indices))

    def __getitem__(self, wanted: tuple[int, Indices]) -> Batch | DataError:
        """Return a batch, or the error of its first image that does not decode.

        The error is raised by `batches`: an exception from a worker process would lose its explanation.
        """
        epoch, indices = wanted
        images, mirror = [], []
        for index in indices:
            try:
                pixels = self._pixels(index)
            except DataError as error:
                return error
            rng = self._random(epoch, index)
            pixels, is_mirrored = (pixels, False) if rng is None else self.transform.randomised(pixels, rng)
            images.append(channels_first(pixels))
            mirror.append(is_mirrored)
        return Batch(torch.stack(images), _tensor(indices), torch.tensor(mirror))

    def draw_mirrors(self, epoch: int, indices: Indices) -> Tensor:
        """Return an array (B,) of bools, True for images that training mirrors, if it takes no random crops."""
        draws = [self._random(epoch, index) for index in indices]
        return torch.tensor([rng is not None and self.transform.draws_flip(rng) for rng in draws])

    def _pixels(self, index: int) -> Pixels:
        """Return the pixels after the deterministic part."""
        if self.packed is not None:
            return self.packed.pixels(self.benchmark.images[index])
        image = decode(self.benchmark.image_path(index), upright=self.benchmark.upright)
        return self.transform.training_geometry(image)

    def _random(self, epoch: int, index: int) -> np.random.Generator | None:
        return None if self.seed is None else np.random.default_rng([self.seed, 3, epoch, int(index)])


def epoch_order(indices: Indices, *, seed: int, epoch: int, shuffle: bool) -> Indices:
    """Return the order of the training images in an epoch, a function of the arguments only."""
    return np.random.default_rng([seed, 4, epoch]).permutation(indices) if shuffle else indices


def in_batches(indices: Indices, batch_size: int) -> list[tuple[int, Indices]]:
    """Return the order of images of one epoch for `ImageLoader.batches`; the last batch may be smaller."""
    return [(0, indices[start : start + batch_size]) for start in range(0, len(indices), batch_size)]


def _tensor(indices: Indices) -> Tensor:
    return torch.from_numpy(indices.astype(np.int64))
