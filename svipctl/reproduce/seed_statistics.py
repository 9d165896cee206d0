"""Compute mean and deviation over seeds, and paired differences with intervals over seeds and over images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.stats import t

from svipctl.evaluation.bootstrap import LEVEL, quantile_interval
from svipctl.evaluation.calibration import Floats

_DIGITS = 4


class SeedMean:
    """Mean over seeds.

    Attributes:
        n: Number of seeds.
        mean: The mean.
        sd: Standard deviation with n - 1 in the denominator; None for a single number.

    """

    def __init__(self, values: Iterable[float]) -> None:
        """Compute mean and standard deviation of at least one number."""
        numbers = list(values)
        self.n, self.mean = len(numbers), fmean(numbers)
        self.sd = stdev(numbers) if len(numbers) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean, Student's t with n - 1 degrees of freedom; None for a single number."""
        if self.sd is None:
            return None
        half = float(t.ppf((1 + LEVEL) / 2, self.n - 1)) * self.sd / sqrt(self.n)
        return self.mean - half, self.mean + half

    def to_dict(self) -> dict[str, Any]:
        """Return `n`, `mean` and `sd`, rounded."""
        return {"n": self.n, "mean": rounded(self.mean), "sd": rounded(self.sd)}

    def to_dict_with_interval(self) -> dict[str, Any]:
        """Return `n`, `mean`, `sd` and `interval`, rounded."""
        interval = self.interval and [rounded(bound) for bound in self.interval]
        return {**self.to_dict(), "interval": interval}


def paired_difference(values: Mapping[int, float], base: Mapping[int, float]) -> SeedMean | None:
    """Return `values` minus `base`, seed by seed, over the seeds that both have; None if they share none."""
    differences = [values[seed] - base[seed] for seed in sorted(values.keys() & base.keys())]
    return SeedMean(differences) if differences else None


def interval_over_images(values: Mapping[int, Floats], base: Mapping[int, Floats]) -> tuple[float, float] | None:
    """Return the 95 % interval of `values` minus `base` over seeds and test images, None if they share no seed.

    Each resample draws seeds with replacement and, for both sides, one resample of the images (a two-level bootstrap),
    so that images and seeds that are hard for both do not widen the interval.

    Args:
        values: Seed -> a metric in each resample of the images, shape (R,).
        base: The same of the row that is compared with; resample for resample of the same images.

    """
    shared = sorted(values.keys() & base.keys())
    if not shared:
        return None
    differences = np.stack([values[one] - base[one] for one in shared])
    resamples = differences.shape[1]
    drawn = np.random.default_rng(0).integers(len(shared), size=(len(shared), resamples))
    means = differences[drawn, np.arange(resamples)].mean(axis=0)
    return quantile_interval(means)


def rounded(value: float | None) -> float | None:
    """Return the value with the digits of the table's document."""
    return None if value is None else round(value, _DIGITS)
