"""Yield training batches: images or cached features, flipped, with labels, on the device; and measure the waiting."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from svipctl.datasets.benchmark import Indices
from svipctl.datasets.features import StemFeatures
from svipctl.datasets.images import mirrored
from svipctl.datasets.loader import ImageLoader
from svipctl.model.selection_controls import drawn_scores
from svipctl.settings.schema import Settings
from svipctl.training.setup import Setup
from svipctl.training.state import Position

TrainingBatch = tuple[Tensor, Tensor, Tensor | None]
"""uint8 images (B, 3, H, W), or a frozen stem's features of them (B, channels, rows, columns); their rows among the
seen classes (B,); and, for the controls that need it, the location of the object or random scores (B, windows).
"""


def steps_of(images: int, batch_size: int, *, drop_last: bool) -> int:
    """Return the number of steps of an epoch; an incomplete batch is kept if it is the only one."""
    return max(1, images // batch_size) if drop_last else -(-images // batch_size)


class TrainingBatches:
    """Batches of a run on the device, from one position to the end of its last epoch.

    Worker processes start with the first batch, load ahead while an epoch is evaluated and saved, and end with `close`.
    """

    def __init__(self, settings: Settings, setup: Setup, order: Iterable[tuple[int, Indices]], *, workers: int) -> None:
        """Create the batches without decoding anything yet.

        Args:
            settings: The configuration.
            setup: Model, data and processes.
            order: Epoch, counted from 0, and images of each batch.
            workers: Processes that decode images.

        """
        self.settings, self.setup, self.order = settings, setup, iter(order)
        self.device = setup.model.device
        self.images = ImageLoader(setup.benchmark, setup.transform, settings.seed, setup.packed)
        self.rows = torch.from_numpy(np.searchsorted(setup.split.seen_classes, setup.benchmark.labels))
        pin_memory = self.device.type == "cuda"
        self.decoded = self.images.batches(self.order, workers=workers, pin_memory=pin_memory)

    def take(self, epoch: int, steps: int) -> Iterator[TrainingBatch]:
        """Yield the next batches, all of the same epoch.

        Raises:
            DataError: An image is missing or does not decode.

        """
        if self.setup.features is not None:
            yield from (self._features(self.setup.features, *wanted) for wanted in islice(self.order, steps))
            return
        for batch in islice(self.decoded, steps):
            images = mirrored(batch.images.to(self.device, non_blocking=True), batch.mirror)
            yield images, self._labels(batch.indices), self._coverage(epoch, batch.indices, batch.mirror)

    def close(self) -> None:
        """End the workers."""
        self.decoded.close()

    def _features(self, kept: StemFeatures, epoch: int, indices: Indices) -> TrainingBatch:
        files, which = self.setup.benchmark.files(indices), torch.from_numpy(indices)
        mirror = self.images.draw_mirrors(epoch, indices)
        features = kept.gather(files, mirror, pin_memory=self.device.type == "cuda")
        return (
            features.to(self.device, non_blocking=True),
            self._labels(which),
            self._coverage(epoch, which, mirror),
        )

    def _labels(self, which: Tensor) -> Tensor:
        return self.rows[which].to(self.device, non_blocking=True)

    def _coverage(self, epoch: int, which: Tensor, mirror: Tensor) -> Tensor | None:
        if self.settings.method.selection == "random":
            scores = drawn_scores(self.settings.seed, epoch, which, self.setup.model.network.grid.windows)
        elif self.setup.objects is not None:
            scores = self.setup.objects.of(which, mirror)
        else:
            return None
        return scores.to(self.device, non_blocking=True)


def clocked(batches: Iterable[TrainingBatch], position: Position) -> Iterator[TrainingBatch]:
    """Yield the batches, and add the time that the loop waits for them to the position."""
    coming = iter(batches)
    while True:
        started = time.perf_counter()
        batch = next(coming, None)
        position.waited += time.perf_counter() - started
        if batch is None:
            return
        yield batch
