"""The batches of an epoch: images or kept features, flipped, with labels, on the device; and how long they are waited for."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from svipctl.datasets.benchmark import Indices
from svipctl.datasets.images import mirrored
from svipctl.datasets.loader import ImageDataset, batches
from svipctl.model.selection_controls import drawn_scores
from svipctl.settings.schema import Settings
from svipctl.training.setup import Setup

TrainingBatch = tuple[Tensor, Tensor, Tensor | None]
"""uint8 images (B, 3, H, W), or a frozen stem's features of them (B, channels, rows, columns); their rows among the seen
classes (B,); and for the controls that ask for it where the object is, or scores drawn by chance (B, windows)."""


def steps_of(images: int, batch_size: int, *, drop_last: bool) -> int:
    """Steps of an epoch; an incomplete batch that is the only one is kept."""
    return max(1, images // batch_size) if drop_last else -(-images // batch_size)


def training_batches(
    settings: Settings, setup: Setup, epoch: int, batch_size: int, indices: Indices
) -> Generator[TrainingBatch, None, None]:
    """Batches on the device."""
    dataset = ImageDataset(
        setup.benchmark,
        indices,
        setup.transform,
        seed=settings.seed,
        epoch=epoch,
        packed=setup.packed,
    )
    rows = torch.from_numpy(np.searchsorted(setup.split.seen_classes, setup.benchmark.labels))
    on_gpu = setup.model.device.type == "cuda"

    def coverage_of(which: Tensor, mirror: Tensor) -> Tensor | None:
        if settings.method.selection == "random":
            scores = drawn_scores(settings.seed, epoch, which, setup.model.network.grid.windows)
        elif setup.objects is not None:
            scores = setup.objects.of(which, mirror)
        else:
            return None
        return scores.to(setup.model.device, non_blocking=True)

    if setup.features is not None:
        for start in range(0, len(dataset), batch_size):
            stop = min(start + batch_size, len(dataset))
            which, mirror = torch.from_numpy(dataset.indices[start:stop]), dataset.draw_mirrors(start, stop)
            features = setup.features.gather(dataset.files[start:stop], mirror, pin_memory=on_gpu)
            features = features.to(setup.model.device, non_blocking=True)
            yield features, rows[which].to(setup.model.device, non_blocking=True), coverage_of(which, mirror)
        return
    loader = batches(dataset, batch_size, workers=settings.data.workers, pin_memory=on_gpu)
    with closing(loader):
        for batch in loader:
            images = mirrored(batch.images.to(setup.model.device, non_blocking=True), batch.mirror)
            labels = rows[batch.indices].to(setup.model.device, non_blocking=True)
            yield images, labels, coverage_of(batch.indices, batch.mirror)


class Clocked:
    """Batches, and how long they were waited for."""

    def __init__(self, batches: Iterable[TrainingBatch], waited: float) -> None:
        self.batches = batches
        self.waited = waited

    def __iter__(self) -> Iterator[TrainingBatch]:
        batches = iter(self.batches)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch
