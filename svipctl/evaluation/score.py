"""From a model's predictions on a split to every number of the evaluation."""

from __future__ import annotations

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.inference.dataset_predictions import Predictions
from svipctl.evaluation.protocols import Scored
from svipctl.evaluation.selection import BACKGROUND_SHARE, selection_quality
from svipctl.evaluation.truth import ObjectTruth
from svipctl.model.scores import class_scores, normalise_class_attributes
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


def selection(model: SVIP, predictions: Predictions, truth: ObjectTruth | None) -> dict[str, float | dict[str, float]]:
    """Quality of the patch classifier against its labels and, where somebody says what is background, against that.

    Args:
        model: Whose predictions they are.
        predictions: With the scores of the source pass, or without.
        truth: Of the same images, from masks or boxes.

    Returns:
        `auc` and `recall` against the labels, and the same in `mask` or `box` (percent).

    """
    quality: dict[str, float | dict[str, float]] = {}
    rejected = model.grid.windows - model.keep
    if predictions.source_scores is not None and len(predictions.indices):
        labels = ~top_mask(torch.from_numpy(predictions.source_scores), model.keep).numpy()
        quality |= selection_quality(predictions.unrelated, labels, rejected)
    if truth is not None:
        quality[truth.source] = selection_quality(predictions.unrelated, truth.shares < BACKGROUND_SHARE, rejected)
    return quality
