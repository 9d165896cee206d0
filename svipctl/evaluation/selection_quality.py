"""Measure the patch selection by AUC and recall; accuracy is misleading, as the majority class alone gives 40/49."""

from __future__ import annotations

import numpy as np
import torch

from svipctl.evaluation.calibration import Bools, Floats
from svipctl.evaluation.truth import ObjectTruth
from svipctl.inference.dataset_predictions import Predictions
from svipctl.model.svip import SVIP
from svipctl.model.windows import top_mask

BACKGROUND_SHARE = 0.05
"""A window is background if less than this share of its pixels shows the object."""


def selection_quality(unrelated: Floats, truth: Bools, rejected: int) -> dict[str, float]:
    """Return AUC and recall of "unrelated" within each image, averaged over images (percent).

    Args:
        unrelated: (N, windows) the classifier's probability that a window is unrelated.
        truth: (N, windows) True for unrelated windows.
        rejected: Number of windows that the method rejects in each image, 49 - M in the paper.

    Returns:
        `auc`: chance 50. `recall`: share of the truly unrelated windows, or of `rejected` if that is less, among the
        `rejected` highest. Equal probabilities are ranked as a random order would on average, for both. Images whose
        windows all have the same label are left out; empty if none is left.

    """
    positives = truth.sum(axis=1)
    telling = (positives > 0) & (positives < truth.shape[1])
    if not telling.any():
        return {}
    from scipy.stats import rankdata  # takes a second to import, which other commands need not wait for

    unrelated, truth, positives = unrelated[telling], truth[telling], positives[telling]
    ranks = rankdata(unrelated, axis=1)
    negatives = truth.shape[1] - positives
    auc = ((ranks * truth).sum(axis=1) - positives * (positives + 1) / 2) / (positives * negatives)
    quality = {"auc": 100 * float(auc.mean())}
    if rejected > 0:
        # In raster order a constant classifier would find the windows at the top, which are mostly background.
        first, last = (rankdata(-unrelated, method=method, axis=1) for method in ("min", "max"))
        chosen = ((rejected + 1 - first) / (last + 1 - first)).clip(0, 1)
        hits = (truth * chosen).sum(axis=1)
        quality["recall"] = 100 * float((hits / np.minimum(positives, rejected)).mean())
    return quality


def patch_classifier_quality(
    network: SVIP, predictions: Predictions, truth: ObjectTruth | None
) -> dict[str, float | dict[str, float]]:
    """Measure the patch classifier against its labels and, where there are masks or boxes, against the background.

    Args:
        network: Network of the predictions.
        predictions: Predictions with or without the scores of the source pass.
        truth: Location of the object in the same images, from masks or boxes.

    Returns:
        `auc` and `recall` against the labels, and the same in `mask` or `box` (percent).

    """
    quality: dict[str, float | dict[str, float]] = {}
    rejected = network.grid.windows - network.keep
    if predictions.source_scores is not None and len(predictions.indices):
        labels = ~top_mask(torch.from_numpy(predictions.source_scores), network.keep).numpy()
        quality |= selection_quality(predictions.unrelated, labels, rejected)
    if truth is not None:
        quality[truth.source] = selection_quality(predictions.unrelated, truth.shares < BACKGROUND_SHARE, rejected)
    return quality
