"""One pass over images: predicted attributes, and what the patch classifier said."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.datasets.loader import ImageDataset, batches
from svipctl.datasets.objects import object_coverage
from svipctl.datasets.pixels import find_pack
from svipctl.device import autocast
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.errors import CheckFailed
from svipctl.evaluation.stem import StemFeatures, StemRunner
from svipctl.model.fused_linear import KeptWeights
from svipctl.model.svip import SVIP
from svipctl.types import ProgressCallback


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
    peaks: NDArray[np.int64] | None = None
    """(N, G) the window, in raster order, at which the attribute head is highest for each of the attributes asked for."""
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
    ranks: Ranks = ALONE

    @torch.inference_mode()
    def predict(
        self,
        benchmark: Benchmark,
        indices: Indices,
        *,
        source_scores: bool = False,
        peaks_of: NDArray[np.int64] | None = None,
        progress: ProgressCallback | None = None,
    ) -> Predictions:
        """Predict the images of a benchmark; leaves the model in evaluation mode.

        Several processes divide the images among them, each once, and all return the whole.

        Args:
            benchmark: Where the files are.
            indices: Which images.
            source_scores: Also run the source pass for the window scores (a second forward pass).
            peaks_of: (C, G) of each class the attributes whose maps' peaks are wanted, by column; -1 for none.
            progress: Called with images done and images in all, of this process; equally often in all processes.

        """
        self.model.eval()
        attributes, unrelated, scores, peaks = [], [], [], []
        done = 0
        geometry = Geometry(self.transform.resize, self.transform.size)
        mine = indices[list(self.ranks.share(range(len(indices))))]
        with self.ranks.first():
            features = StemRunner(self.model, self.normalise, self.device, self.dtype).find(benchmark, geometry)
        packed, note = find_pack(benchmark, geometry) if features is None else (None, "")
        objects = None
        if self.model.recipe.selection == "object":
            objects = object_coverage(benchmark, mine, geometry, *self.model.grid.window_shape)
        dataset = ImageDataset(benchmark, mine, self.transform, packed=packed)
        with (
            closing(self._inputs(dataset, features)) as loader,
            autocast(self.dtype, self.device),
            KeptWeights().in_use(),
        ):
            for which, inputs in loader:
                prediction = self.model.predict(inputs, coverage=None if objects is None else objects.of(which))
                if source_scores:
                    scores.append(self.model.source_scores(inputs).double().cpu())
                if peaks_of is not None:
                    columns = torch.from_numpy(peaks_of[benchmark.labels[which.numpy()]]).clamp_min(0)
                    peaks.append(_peaks(prediction.windows, columns.to(self.device)).double().cpu())
                attributes.append(prediction.attributes.double().cpu())
                unrelated.append(prediction.unrelated.double().cpu())
                done += len(inputs)
                if progress:
                    progress(done, len(dataset))
        if progress and len(attributes) < self._most_batches(len(indices)):
            progress(done, len(dataset))
        windows, outputs = self.model.grid.windows, self.model.attribute_head.out_features
        predicted = self._whole(attributes, outputs)
        if not np.isfinite(predicted).all():
            raise CheckFailed(
                "the model predicts attributes that are not finite numbers",
                why="its training diverged, or half precision overflowed",
                todo="evaluate with --precision fp32, or train with a lower learning rate",
            )
        return Predictions(
            indices=indices,
            attributes=predicted,
            unrelated=self._whole(unrelated, windows),
            source_scores=self._whole(scores, windows) if source_scores else None,
            peaks=None if peaks_of is None else self._whole(peaks, peaks_of.shape[1]).astype(np.int64),
            notes=(note,) if note else (),
        )

    def _inputs(
        self, dataset: ImageDataset, features: StemFeatures | None
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Which images, and the network's input of them on the device: normalised images, or a frozen stem's features."""
        if features is not None:
            for start in range(0, len(dataset), self.batch_size):
                some = slice(start, start + self.batch_size)
                yield torch.from_numpy(dataset.indices[some]), features.gather(dataset.files[some]).to(self.device)
            return
        loader = batches(dataset, self.batch_size, workers=self.workers, pin_memory=self.device.type == "cuda")
        with closing(loader):
            for batch in loader:
                yield batch.indices, self.normalise(batch.images.to(self.device, non_blocking=True))

    def _most_batches(self, images: int) -> int:
        """Of any process."""
        return math.ceil(math.ceil(images / self.ranks.world) / self.batch_size)

    def _whole(self, parts: list[Tensor], columns: int) -> NDArray[np.float64]:
        """Join this process's batches with those of the others."""
        mine = torch.cat([torch.zeros(0, columns, dtype=torch.float64), *parts]).numpy()
        return np.concatenate(self.ranks.gather(mine))


def _peaks(windows: Tensor, columns: Tensor) -> Tensor:
    """The window at which each attribute is highest: (B, windows, K), (B, G) -> (B, G)."""
    wanted = windows.gather(2, columns.unsqueeze(1).expand(-1, windows.shape[1], -1))
    return wanted.argmax(dim=1)
