"""One pass over images: predicted attributes, and what the patch classifier said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.datasets.loader import ImageDataset, batches
from svipctl.datasets.objects import object_coverage
from svipctl.datasets.packed import find_pack
from svipctl.device import autocast
from svipctl.errors import CheckFailed
from svipctl.model.svip import SVIP

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Predictions:
    """Of N images, in the order asked for."""

    indices: Indices
    """(N,) images of the benchmark."""
    attributes: NDArray[np.float64]
    """(N, K)."""
    unrelated: NDArray[np.float64]
    """(N, windows), probability that the window is unrelated."""
    source_scores: NDArray[np.float64] | None
    """(N, windows), what supervises the patch classifier; high is related. None when not asked for."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the images were read."""


@dataclass(frozen=True)
class Predictor:
    """A model with all that turns image files into its input."""

    model: SVIP
    transform: Transform
    normalise: Normalisation
    device: torch.device
    dtype: torch.dtype
    batch_size: int = 64
    workers: int = 0

    @torch.inference_mode()
    def predict(
        self, benchmark: Benchmark, indices: Indices, *, source_scores: bool = False, progress: Progress | None = None
    ) -> Predictions:
        """Predict the images of a benchmark; leaves the model in evaluation mode.

        Args:
            benchmark: Where the files are.
            indices: Which images.
            source_scores: Also run the source pass for the window scores (a second forward pass).
            progress: Called with images done and images in all.

        """
        self.model.eval()
        attributes, unrelated, scores = [], [], []
        done = 0
        geometry = Geometry(self.transform.resize, self.transform.size)
        packed, note = find_pack(benchmark, geometry)
        grid = self.model.grid
        objects = (
            object_coverage(benchmark, indices, geometry, *grid.window_shape)
            if self.model.recipe.selection == "object"
            else None
        )
        dataset = ImageDataset(benchmark, indices, self.transform, packed=packed)
        loader = batches(dataset, self.batch_size, workers=self.workers, pin_memory=self.device.type == "cuda")
        # One autocast around all batches: it keeps the weights it has cast, and they do not change here.
        with closing(loader), autocast(self.dtype, self.device):
            for batch in loader:
                pixels = self.normalise(batch.images.to(self.device, non_blocking=True))
                prediction = self.model.predict(pixels, coverage=None if objects is None else objects.of(batch.indices))
                if source_scores:
                    scores.append(self.model.source_scores(pixels).double().cpu())
                if not torch.isfinite(prediction.attributes).all():
                    raise CheckFailed(
                        "the model predicts attributes that are not finite numbers",
                        why="its training diverged, or half precision overflowed",
                        todo="evaluate with --precision fp32, or train with a lower learning rate",
                    )
                attributes.append(prediction.attributes.double().cpu())
                unrelated.append(prediction.unrelated.double().cpu())
                done += len(batch.images)
                if progress:
                    progress(done, len(dataset))
        empty = torch.zeros(0, self.model.grid.windows, dtype=torch.float64)
        return Predictions(
            indices=indices,
            attributes=torch.cat(attributes or [torch.zeros(0, self.model.attribute_head.out_features)]).numpy(),
            unrelated=torch.cat(unrelated or [empty]).numpy(),
            source_scores=torch.cat(scores or [empty]).numpy() if source_scores else None,
            notes=(note,) if note else (),
        )
