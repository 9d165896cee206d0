"""Compute 95 % bootstrap intervals over images, resampled within each class so that every class stays in every
resample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from svipctl.evaluation.calibration import Answers, Floats, harmonic_mean

LEVEL = 0.95
_CHUNK = 50

Interval = tuple[float, float]


def intervals(
    answers: Answers, gammas: Mapping[str, float], *, resamples: int, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Return the intervals of each protocol row, as shares of 1.

    Args:
        answers: Answers of seen and unseen test images.
        gammas: Row name -> gamma, which is fixed: the uncertainty is that of the images, not of the choice of gamma.
        resamples: Number of resamples; 1000 is usual.
        seed: Of the resampling.

    Returns:
        `{"zsl": {"T1"}, "ausuc": {"value"}, <row>: {"U", "S", "H"}}`, each a pair (low, high).

    """
    return _intervals(resampled_metrics(answers, gammas, resamples, seed))


def paired_intervals(
    answers: Answers,
    gammas: Mapping[str, float],
    others: Answers,
    their_gammas: Mapping[str, float],
    *,
    resamples: int,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Return intervals of the difference of two models on the same images, others minus these.

    Both use the same resamples, so that images that are hard for both do not widen the interval.

    Args:
        answers: Answers of one model.
        gammas: Its gamma for each row.
        others: Answers of another model, to the same images in the same order.
        their_gammas: Its gamma for each row.
        resamples: Number of resamples.
        seed: Of the resampling.

    Returns:
        As `intervals`, for the rows that both have.

    Raises:
        ValueError: The models were not evaluated on the same images.

    """
    if not np.array_equal(answers.labels, others.labels):
        raise ValueError("compare two models on the same images in the same order")
    mine = resampled_metrics(answers, gammas, resamples, seed)
    theirs = resampled_metrics(others, their_gammas, resamples, seed)
    return _intervals({key: theirs[key] - values for key, values in mine.items() if key in theirs})


def _intervals(metrics: Mapping[tuple[str, str], Floats]) -> dict[str, dict[str, Interval]]:
    """Return the intervals of resampled metrics, by row and name."""
    result: dict[str, dict[str, Interval]] = {}
    for (row, figure), values in metrics.items():
        result.setdefault(row, {})[figure] = quantile_interval(values)
    return result


def resampled_metrics(
    answers: Answers, gammas: Mapping[str, float], resamples: int, seed: int
) -> dict[tuple[str, str], Floats]:
    """Return each metric (row, name), as share of 1, in each resample of the images, shape (resamples,).

    The resamples depend on the labels and the seed only, so that those of two models on the same images are paired.
    Arguments as for `intervals`.
    """
    weights = answers.class_weights()
    unseen_right, seen_right = weights * answers.unseen_correct, weights * answers.seen_correct
    areas = ResampledAreas(answers)
    draws: dict[tuple[str, str], list[Floats]] = {}

    def note(row: str, figure: str, values: Floats) -> None:
        draws.setdefault((row, figure), []).append(values)

    for counts in resampled_counts(answers, resamples, seed):
        note("zsl", "T1", counts @ unseen_right)
        for row, gamma in gammas.items():
            called_seen = answers.margins > gamma
            unseen, seen = counts @ (unseen_right * ~called_seen), counts @ (seen_right * called_seen)
            note(row, "U", unseen)
            note(row, "S", seen)
            note(row, "H", harmonic_mean(seen, unseen))
        note("ausuc", "value", areas(counts))

    return {key: np.concatenate(values) for key, values in draws.items()}


class ResampledAreas:
    """AUSUC of many resamples: the area under `seen_unseen_curve`, sorted once for all of them.

    The curve rises at the margin of each correctly classified unseen image, from the seen images at or above that
    margin to those above it, one trapezium per image.
    """

    def __init__(self, answers: Answers) -> None:
        weights = answers.class_weights()
        self.unseen = np.flatnonzero(answers.unseen_correct)
        seen = np.flatnonzero(answers.seen_correct)
        self.seen = seen[np.argsort(-answers.margins[seen], kind="stable")]
        margins, places = -answers.margins[self.seen], -answers.margins[self.unseen]
        self.above = np.searchsorted(margins, places, side="left")
        self.at_or_above = np.searchsorted(margins, places, side="right")
        self.unseen_weights, self.seen_weights = weights[self.unseen], weights[self.seen]

    def __call__(self, counts: Floats) -> Floats:
        """Return the areas (R,) for the counts (R, N) of each image in each resample."""
        sums = np.zeros((len(counts), len(self.seen) + 1))
        np.cumsum(counts[:, self.seen] * self.seen_weights, axis=1, out=sums[:, 1:])
        heights = (sums[:, self.above] + sums[:, self.at_or_above]) / 2
        areas: Floats = (counts[:, self.unseen] * self.unseen_weights * heights).sum(axis=1)
        return areas


def quantile_interval(values: Floats) -> Interval:
    """Return the 95 % interval of resampled values (R,)."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def resampled_counts(answers: Answers, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield the number of times that each image is drawn in each resample, in chunks (chunk, N)."""
    rng = np.random.default_rng(seed)
    order = np.argsort(answers.labels, kind="stable")
    _, first, inverse, size = np.unique(
        answers.labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    images = len(order)
    for start in range(0, resamples, _CHUNK):
        chunk = min(_CHUNK, resamples - start)
        drawn = first[inverse] + (rng.random((chunk, images)) * size[inverse]).astype(np.int64)
        flat = (order[drawn] + images * np.arange(chunk)[:, None]).ravel()
        yield np.bincount(flat, minlength=chunk * images).reshape(chunk, images).astype(np.float64)
