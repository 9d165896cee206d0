"""Predict the images of a data set in one pass, divided among the processes of a run."""

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
from svipctl.datasets.features import StemFeatures
from svipctl.datasets.object_masks import object_coverage
from svipctl.datasets.packed_pixels import find_pack
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.inference.ready_network import BATCH_SIZE, check_finite
from svipctl.inference.stem_features import find_stem_features
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.types import ProgressCallback, Workers


@dataclass(frozen=True)
class Predictions:
    """Predictions of N images, in the requested order."""

    indices: Indices
    """(N,) images of the data set."""
    attributes: NDArray[np.float64]
    """(N, K)."""
    unrelated: NDArray[np.float64]
    """(N, windows), probability that the window is unrelated."""
    source_scores: NDArray[np.float64] | None
    """(N, windows), the window scores that supervise the patch classifier; high is related. None if not requested."""
    tokens: NDArray[np.float64] | None = None
    """(N, D) mean patch tokens. None if not requested."""
    peaks: NDArray[np.int64] | None = None
    """(N, G) window, in raster order, at which the attribute head is highest for each of the requested attributes.
    None if not requested.
    """
    notes: tuple[str, ...] = ()
    """Notes for the user on the source of the pixels."""


def predict_dataset(
    model: TrainedModel,
    benchmark: Benchmark,
    indices: Indices,
    *,
    batch_size: int = BATCH_SIZE,
    workers: Workers = 0,
    ranks: Ranks = ALONE,
    mirrored: bool = False,
    source_scores: bool = False,
    mean_tokens: bool = False,
    peaks_of: NDArray[np.int64] | None = None,
    progress: ProgressCallback | None = None,
) -> Predictions:
    """Predict images of a data set, from cached features of a frozen stem or packed pixels if they are up to date.

    Several processes divide the images among them, each once, and all return the whole.

    Args:
        model: The network and its device.
        benchmark: Data set of the images.
        indices: Indices of the images.
        batch_size: Images computed together.
        workers: Processes that decode images; 0 decodes in this one.
        ranks: The processes that divide the images.
        mirrored: Flip all images horizontally.
        source_scores: Also run the source pass for the window scores (a second forward pass).
        mean_tokens: Also return the mean patch tokens.
        peaks_of: (C, G) columns of the attributes of each class whose map peaks are returned; -1 for none.
        progress: Called with images done and images in total of this process; equally often in all processes.

    Raises:
        DataError: An image is missing or does not decode.
        CheckFailed: The network's output is not finite.

    """
    network = model.network
    mine = indices[list(ranks.share(range(len(indices))))]
    with ranks.first():
        features = find_stem_features(model, benchmark, mirrored=mirrored)
    note = find_pack(benchmark, model.geometry)[1] if features is None else ""
    objects = None
    if network.recipe.selection == "object":
        objects = object_coverage(benchmark, mine, model.geometry, *network.grid.window_shape)
    if features is None:
        inputs = dataset_inputs(
            model,
            benchmark,
            mine,
            mirrored=mirrored,
            batch_size=batch_size,
            workers=workers,
            processes=ranks.beside,
        )
    else:
        inputs = _feature_inputs(model, benchmark, mine, features, batch_size)
    attributes, unrelated, tokens, scores, peaks = [], [], [], [], []
    done = 0
    with closing(inputs), model.inference():
        for which, images in inputs:
            flips = torch.full((len(which),), mirrored)
            prediction = network.predict(images, coverage=None if objects is None else objects.of(which, flips))
            if source_scores:
                scores.append(network.source_scores(images).double().cpu())
            if peaks_of is not None:
                columns = torch.from_numpy(peaks_of[benchmark.labels[which.numpy()]]).clamp_min(0)
                peaks.append(_peaks(prediction.windows, columns.to(model.device)).double().cpu())
            attributes.append(prediction.attributes.double().cpu())
            unrelated.append(prediction.unrelated.double().cpu())
            if mean_tokens:
                tokens.append(prediction.tokens.double().cpu())
            done += len(images)
            if progress:
                progress(done, len(mine))
    most_batches = math.ceil(math.ceil(len(indices) / ranks.world) / batch_size)  # of any process
    if progress and len(attributes) < most_batches:
        progress(done, len(mine))

    def gathered(parts: list[Tensor], columns: int) -> NDArray[np.float64]:
        """Join the results of this process's batches with those of the others."""
        own = torch.cat([torch.zeros(0, columns, dtype=torch.float64), *parts]).numpy()
        return np.concatenate(ranks.gather(own))

    windows = network.grid.windows
    predicted = gathered(attributes, network.attribute_head.out_features)
    check_finite(torch.from_numpy(predicted))
    return Predictions(
        indices=indices,
        attributes=predicted,
        unrelated=gathered(unrelated, windows),
        tokens=gathered(tokens, network.backbone.embed_dim) if mean_tokens else None,
        source_scores=gathered(scores, windows) if source_scores else None,
        peaks=None if peaks_of is None else gathered(peaks, peaks_of.shape[1]).astype(np.int64),
        notes=(note,) if note else (),
    )


def _feature_inputs(
    model: TrainedModel, benchmark: Benchmark, indices: Indices, features: StemFeatures, batch_size: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield indices (B,) and cached feature maps (B, channels, rows, columns) on the model's device."""
    for start in range(0, len(indices), batch_size):
        some = indices[start : start + batch_size]
        files = benchmark.files(some)
        yield torch.from_numpy(some), features.gather(files).to(model.device)


def _peaks(windows: Tensor, columns: Tensor) -> Tensor:
    """Return the window at which each attribute is highest: (B, windows, K), (B, G) -> (B, G)."""
    wanted = windows.gather(2, columns.unsqueeze(1).expand(-1, windows.shape[1], -1))
    return wanted.argmax(dim=1)
