"""From a model's predictions on a split to every number of the evaluation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import Transform, decode
from svipctl.evaluation.predict import Predictions
from svipctl.evaluation.protocols import Scored
from svipctl.evaluation.selection import background_windows, selection_quality
from svipctl.model.classification import class_scores, normalise_class_attributes
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from svipctl.model.windows import top_mask


def scored(benchmark: Benchmark, split: Split, predictions: Predictions, recipe: Recipe) -> Scored:
    """Class scores among the split's classes, as the recipe computes them, in float64."""
    table = torch.from_numpy(benchmark.class_attributes[split.classes])
    table = normalise_class_attributes(table, recipe.class_norm_epsilon)
    scores = class_scores(torch.from_numpy(predictions.attributes), table, recipe.class_score).numpy()
    return Scored(
        scores=scores,
        labels=np.searchsorted(split.classes, benchmark.labels[predictions.indices]),
        seen_classes=np.searchsorted(split.classes, split.seen_classes),
        unseen_classes=np.searchsorted(split.classes, split.unseen_classes),
    )


def selection(
    model: SVIP, benchmark: Benchmark, predictions: Predictions, transform: Transform
) -> dict[str, float | dict[str, float]]:
    """Quality of the patch classifier against its labels and, where there are masks, against the background.

    `transform` is the geometry the model saw the images in; masks go through the same.
    """
    quality: dict[str, float | dict[str, float]] = {}
    rejected = model.grid.windows - model.keep
    if predictions.source_scores is not None and len(predictions.indices):
        labels = ~top_mask(torch.from_numpy(predictions.source_scores), model.keep).numpy()
        quality |= selection_quality(predictions.unrelated, labels, rejected)
    if benchmark.masks and len(predictions.indices):
        rows, columns = model.grid.rows // model.grid.side, model.grid.columns // model.grid.side
        truth = np.stack(
            [
                background_windows(_mask(benchmark, int(index), transform), rows, columns)
                for index in predictions.indices
            ]
        )
        quality["mask"] = selection_quality(predictions.unrelated, truth, rejected)
    return quality


def _mask(benchmark: Benchmark, index: int, transform: Transform) -> NDArray[np.bool_]:
    """Where the object is in what the model saw of an image: (size, size)."""
    pixels = transform(decode(benchmark.root / benchmark.masks[index]))
    inside: NDArray[np.bool_] = (pixels[0] >= 128).numpy()
    return inside
