"""Compute the protocol of the published implementation: an offset for unseen classes chosen on the test set."""

from __future__ import annotations

import numpy as np
import torch

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
    logits = (torch.from_numpy(scale * scores[rows][:, classes]) for rows in row_blocks(len(scores)))
    total = torch.cat([some.logsumexp(dim=1) for some in logits]).numpy()
    best_seen = np.exp(scale * answers.highest_seen - total)
    best_unseen = np.exp(scale * answers.highest_unseen - total)
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
