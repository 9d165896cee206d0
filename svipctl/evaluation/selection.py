"""How well the patch classifier selects: AUC and recall, not accuracy (the majority class alone gives 40/49)."""

from __future__ import annotations

import numpy as np

from svipctl.evaluation.calibration import Bools, Floats

BACKGROUND_SHARE = 0.05
"""A window is background when less than this share of its pixels shows the object."""


def selection_quality(unrelated: Floats, truth: Bools, rejected: int) -> dict[str, float]:
    """AUC and recall of "unrelated" within each image, averaged over images (percent).

    Args:
        unrelated: (N, windows) the classifier's probability that a window is unrelated.
        truth: (N, windows) whether it is.
        rejected: Windows the method rejects in each image, 49 - M in the paper.

    Returns:
        `auc`: chance 50. `recall`: share of the truly unrelated windows, or of `rejected` if that is less, among the
        `rejected` highest. Images whose windows are all alike say nothing and are left out; empty if none is left.

    """
    positives = truth.sum(axis=1)
    telling = (positives > 0) & (positives < truth.shape[1])
    if not telling.any():
        return {}
    from scipy.stats import rankdata  # takes a second to import, which commands that measure nothing need not wait for

    unrelated, truth, positives = unrelated[telling], truth[telling], positives[telling]
    ranks = rankdata(unrelated, axis=1)
    negatives = truth.shape[1] - positives
    auc = ((ranks * truth).sum(axis=1) - positives * (positives + 1) / 2) / (positives * negatives)
    quality = {"auc": 100 * float(auc.mean())}
    if rejected > 0:
        chosen = np.argsort(-unrelated, axis=1, kind="stable")[:, :rejected]
        hits = np.take_along_axis(truth, chosen, axis=1).sum(axis=1)
        quality["recall"] = 100 * float((hits / np.minimum(positives, rejected)).mean())
    return quality
