"""The protocol of the published implementation: an offset for unseen classes chosen on the test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svipctl.evaluation.calibration import Bools, Floats, Integers, harmonic_mean

OFFSETS = np.arange(-1, 1, 0.01)


@dataclass(frozen=True)
class PublishedRow:
    """Shares of 1, per image."""

    offset: float
    unseen: float
    seen: float
    harmonic: float


def published_row(
    scores: Floats, labels: Integers, seen_classes: Integers, unseen_classes: Integers, *, scale: float = 5.0
) -> PublishedRow:
    """The best H over a grid of offsets added to the unseen classes' softmax probabilities, per-image accuracy.

    Args:
        scores: (N, C) class scores of all test images.
        labels: (N,) true classes.
        seen_classes: Columns of seen classes.
        unseen_classes: Columns of unseen classes.
        scale: Factor inside the softmax.

    Returns:
        The row at the first offset of largest H. It uses test labels to choose: an upper bound, not a result.

    """
    candidates = np.union1d(seen_classes, unseen_classes)
    logits = scale * scores[:, candidates]
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    is_unseen_column = np.isin(candidates, unseen_classes)
    is_seen_image = np.isin(labels, seen_classes)

    best_seen, seen_right = _best(probabilities, candidates, ~is_unseen_column, labels)
    best_unseen, unseen_right = _best(probabilities, candidates, is_unseen_column, labels)
    best = PublishedRow(float(OFFSETS[0]), 0.0, 0.0, -1.0)
    for offset in OFFSETS:
        called_unseen = best_unseen + offset > best_seen
        unseen = float((unseen_right & called_unseen)[~is_seen_image].mean())
        seen = float((seen_right & ~called_unseen)[is_seen_image].mean())
        harmonic = float(harmonic_mean(np.float64(seen), np.float64(unseen)))  # type: ignore[arg-type]
        if harmonic > best.harmonic:
            best = PublishedRow(float(offset), unseen, seen, harmonic)
    return best


def _best(probabilities: Floats, candidates: Integers, columns: Bools, labels: Integers) -> tuple[Floats, Bools]:
    """Highest probability among some columns (N,), and whether its class is the true one (N,)."""
    chosen = probabilities[:, columns].argmax(axis=1)
    highest = probabilities[:, columns][np.arange(len(labels)), chosen]
    return highest, candidates[columns][chosen] == labels
