"""Compare confidence with accuracy: the softmax probability of the answer against the share of correct answers.

The expected calibration error is that of Guo et al. (ICML 2017), with bins of equal width. It has nothing to do with
calibrated stacking, which moves gamma between seen and unseen classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from svipctl.evaluation.calibration import Floats, Integers
from svipctl.evaluation.protocols import Scored

BINS = 10
"""Number of bins of equal width, from 0 to 1."""


@dataclass(frozen=True)
class Reliability:
    """Bins of confidence that have images, as shares of 1."""

    confidence: Floats
    """(B,) mean confidence in the bin, ascending."""
    accuracy: Floats
    """(B,) share of correct answers, per image."""
    images: Integers
    """(B,) number of images."""

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy over images."""
        if not len(self.images):
            return 0.0
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.images))


def reliability(scored: Scored, gamma: float = 0.0, *, scale: float) -> Reliability:
    """Return the confidence of the answer among all classes, by a softmax of the scaled scores with gamma subtracted.

    Args:
        scored: Class scores of the images.
        gamma: Gamma in units of the scores.
        scale: Factor of the scores inside the softmax, the one of training.

    """
    scores = scored.scores.copy()
    scores[:, scored.seen_classes] -= gamma
    probabilities = softmax(scale * scores, axis=1)
    answers = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(answers)), answers]
    right = answers == scored.labels
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    images = np.bincount(place, minlength=BINS)
    kept = images > 0
    return Reliability(
        confidence=np.bincount(place, confidence, BINS)[kept] / images[kept],
        accuracy=np.bincount(place, right, BINS)[kept] / images[kept],
        images=images[kept],
    )
