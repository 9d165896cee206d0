"""Compute the protocol of the published implementation: an offset for unseen classes chosen on the test set."""

from __future__ import annotations

import numpy as np

from svipctl.evaluation.calibration import Answers, Floats, Integers, row_blocks, with_harmonic

OFFSETS = np.arange(-1, 1, 0.01)


def published_row(answers: Answers, scores: Floats, classes: Integers, *, scale: float = 5.0) -> dict[str, float]:
    """Return the best H over a grid of offsets added to the unseen classes' softmax probabilities, per-image accuracy.

    Args:
        answers: Answers of N test images of seen and of unseen classes.
        scores: (N, C) class scores of these images.
        classes: Columns of the seen and the unseen classes.
        scale: Factor inside the softmax; by default the published one.

    Returns:
        `offset`, U, S and H as shares of 1 at the first offset of largest H. It uses test labels to choose: an upper
        bound, not a result.

    """
    shift, total = _softmax_parts(scores, classes, scale)
    best_seen = np.exp(scale * answers.highest_seen - shift) / total
    best_unseen = np.exp(scale * answers.highest_unseen - shift) / total
    # Only an image whose best class of its own side is correct can count.
    of_unseen = (best_unseen[answers.unseen_correct], best_seen[answers.unseen_correct])
    of_seen = (best_unseen[answers.seen_correct], best_seen[answers.seen_correct])
    seen_images = int(answers.is_seen.sum())
    rows = []
    for offset in OFFSETS:
        unseen = np.count_nonzero(of_unseen[0] + offset > of_unseen[1]) / (len(scores) - seen_images)
        seen = np.count_nonzero(of_seen[0] + offset <= of_seen[1]) / seen_images
        rows.append({"offset": float(offset), **with_harmonic(unseen, seen)})
    return max(rows, key=lambda row: row["H"])


def _softmax_parts(scores: Floats, classes: Integers, scale: float) -> tuple[Floats, Floats]:
    """Return the highest logit (N,), and the sum of exponentials after subtracting it."""
    shift, total = np.empty(len(scores)), np.empty(len(scores))
    everything = np.array_equal(classes, np.arange(scores.shape[1]))
    for rows in row_blocks(len(scores)):
        logits = scale * (scores[rows] if everything else scores[rows][:, classes])
        shift[rows] = logits.max(axis=1)
        logits -= shift[rows, None]
        total[rows] = np.exp(logits, out=logits).sum(axis=1)
    return shift, total
