"""Calibrated stacking and the exact seen-unseen curve (Chao et al., ECCV 2016).

With gamma subtracted from the scores of seen classes, the answer for an image changes at one gamma only: its best seen
score minus its best unseen score. Sorting these margins gives every point of the curve; no grid is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_BLOCK = 64


@dataclass(frozen=True)
class Answers:
    """N scored images, reduced to the values that calibration needs: the answer on either side and the margin between
    them.
    """

    labels: Integers
    """(N,) true classes."""
    is_seen: Bools
    """(N,) True if the true class is a seen one."""
    margins: Floats
    """(N,) best seen score minus best unseen score: the answer is an unseen class from this gamma on."""
    seen_answers: Integers
    """(N,) best seen class, the answer below the margin."""
    unseen_answers: Integers
    """(N,) best unseen class, the answer at and above the margin."""
    highest_seen: Floats
    """(N,) best seen score."""
    highest_unseen: Floats
    """(N,) best unseen score."""

    @classmethod
    def from_scores(cls, scores: Floats, labels: Integers, seen_classes: Integers, unseen_classes: Integers) -> Answers:
        """Reduce class scores (N, C) to the values that calibration needs."""
        seen_answers, seen = best_of(scores, seen_classes)
        unseen_answers, unseen = best_of(scores, unseen_classes)
        return cls(
            labels=labels,
            is_seen=np.isin(labels, seen_classes),
            margins=(seen - unseen).astype(np.float64),
            seen_answers=seen_answers,
            unseen_answers=unseen_answers,
            highest_seen=seen,
            highest_unseen=unseen,
        )

    @property
    def seen_correct(self) -> Bools:
        """(N,) True if the image is of a seen class and its best seen class is correct."""
        right: Bools = self.seen_answers == self.labels
        return self.is_seen & right

    @property
    def unseen_correct(self) -> Bools:
        """(N,) True if the image is of an unseen class and its best unseen class is correct."""
        right: Bools = self.unseen_answers == self.labels
        return ~self.is_seen & right

    @property
    def zero_shot_accuracy(self) -> float:
        """T1 as share of 1: unseen classes among unseen classes, mean over classes."""
        return float(self.class_weights() @ self.unseen_correct)

    def predicted(self, gamma: float) -> Integers:
        """Return the classes answered at a gamma, (N,)."""
        return np.where(self.margins > gamma, self.seen_answers, self.unseen_answers)

    def class_weights(self) -> Floats:
        """Return weights (N,) whose sum over correct images is the per-class accuracy of their side."""
        weights = np.zeros(len(self.labels))
        for side in (self.is_seen, ~self.is_seen):
            if side.any():
                _, inverse, counts = np.unique(self.labels[side], return_inverse=True, return_counts=True)
                weights[side] = 1 / (counts[inverse] * len(counts))
        return weights


@dataclass(frozen=True)
class Curve:
    """Every reachable pair of accuracies, as shares of 1, per class."""

    gammas: Floats
    """(P,) a gamma inside each interval of constant answers, ascending."""
    unseen: Floats
    """(P,) U, never falling."""
    seen: Floats
    """(P,) S, never rising."""
    steps: Floats
    """(P - 1,) the gammas at which answers change."""

    @property
    def harmonic(self) -> Floats:
        """(P,) H."""
        return harmonic_mean(self.seen, self.unseen)

    @property
    def area(self) -> float:
        """AUSUC, the area under S as a function of U."""
        return float(np.trapezoid(self.seen, self.unseen))

    def best(self) -> int:
        """Return the index of the first point with the largest H."""
        return int(self.harmonic.argmax())

    def harmonic_at(self, gammas: Floats) -> Floats:
        """Return H at each gamma."""
        return self.harmonic[np.searchsorted(self.steps, gammas, side="right")]

    def document(self) -> dict[str, list[float]]:
        """Return the curve in JSON types, without the steps at which neither accuracy changes."""
        changes = (np.diff(self.unseen) != 0) | (np.diff(self.seen) != 0)
        kept = np.concatenate([[True], changes])
        return {
            "steps": self.steps[changes].tolist(),
            "unseen": self.unseen[kept].tolist(),
            "seen": self.seen[kept].tolist(),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Sequence[float]]) -> Self:
        """Return the curve of a document of `document`."""
        steps, unseen, seen = (np.asarray(document[key], dtype=np.float64) for key in ("steps", "unseen", "seen"))
        return cls(_between(steps), unseen, seen, steps)


def best_of(scores: Floats, classes: Integers) -> tuple[Integers, Floats]:
    """Return the class of highest score among some, the first of equals, and that score.

    Args:
        scores: (N, C).
        classes: Columns of `scores`, at least one.

    Returns:
        (N,) each. Few rows are copied at a time, so that they stay in the processor's cache.

    """
    answers = np.empty(len(scores), dtype=np.int64)
    highest = np.empty(len(scores), dtype=scores.dtype)
    for rows in row_blocks(len(scores)):
        some = scores[rows][:, classes]
        best = some.argmax(axis=1)
        answers[rows] = classes[best]
        highest[rows] = some[np.arange(len(some)), best]
    return answers, highest


def unit_rows(table: Floats) -> Floats:
    """Return the rows divided by their L2 norm, so that products are cosines; a zero row stays zero."""
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    scaled: Floats = table / np.where(norms > 0, norms, 1)
    return scaled


def row_blocks(rows: int) -> Iterator[slice]:
    """Yield blocks that together are all rows."""
    return (slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK))


def seen_unseen_curve(answers: Answers, weights: Floats | None = None) -> Curve:
    """Return the exact curve in O(N log N).

    Args:
        answers: Answers of seen and unseen images.
        weights: (N,) weight of each image; per-class weights by default.

    """
    weights = answers.class_weights() if weights is None else weights
    steps, position = np.unique(answers.margins, return_inverse=True)
    gained = np.bincount(position, weights * answers.unseen_correct, len(steps))
    lost = np.bincount(position, weights * answers.seen_correct, len(steps))
    unseen = np.concatenate([[0.0], np.cumsum(gained)])
    seen = np.concatenate([np.cumsum(lost[::-1])[::-1], [0.0]])
    return Curve(_between(steps), unseen, seen, steps)


def pooled_gamma(curves: Sequence[Curve]) -> float:
    """Return the gamma of the largest mean H over curves of different folds, the first of equals."""
    candidates = _between(np.unique(np.concatenate([curve.steps for curve in curves])))
    mean = np.mean([curve.harmonic_at(candidates) for curve in curves], axis=0)
    return float(candidates[mean.argmax()])


def _between(steps: Floats) -> Floats:
    """Return a gamma inside each interval of constant answers, for the steps (P - 1,) between them."""
    if len(steps) == 0:
        return np.zeros(1)
    middles = (steps[1:] + steps[:-1]) / 2
    # A rounded middle must not leave its interval [step, next step).
    middles = np.where((middles >= steps[:-1]) & (middles < steps[1:]), middles, steps[:-1])
    # One point beyond either end, or the next number if the margins are so large that the difference is lost.
    first = min(steps[0] - 1, np.nextafter(steps[0], -np.inf))
    last = max(steps[-1] + 1, np.nextafter(steps[-1], np.inf))
    return np.concatenate([[first], middles, [last]])


def accuracies(answers: Answers, gamma: float, weights: Floats | None = None) -> tuple[float, float]:
    """Return U and S at one gamma as shares of 1, per class unless other weights are given."""
    weights = answers.class_weights() if weights is None else weights
    called_seen = answers.margins > gamma
    unseen = float(weights[answers.unseen_correct & ~called_seen].sum())
    seen = float(weights[answers.seen_correct & called_seen].sum())
    return unseen, seen


def with_harmonic(unseen: float, seen: float) -> dict[str, float]:
    """Return U, S and their harmonic mean H."""
    return {"U": unseen, "S": seen, "H": float(harmonic_mean(np.float64(seen), np.float64(unseen)))}  # type: ignore[arg-type]


def harmonic_mean(seen: Floats, unseen: Floats) -> Floats:
    """Return H = 2SU/(S+U), 0 if both are 0."""
    total = np.asarray(seen + unseen)
    return np.divide(2 * seen * unseen, total, out=np.zeros_like(total, dtype=np.float64), where=total > 0)
