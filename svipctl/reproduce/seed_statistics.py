"""Compute mean and deviation over seeds, and paired differences with Student's intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t

LEVEL = 0.95
_DIGITS = 4


@dataclass(frozen=True)
class SeedMean:
    """Mean over seeds."""

    n: int
    mean: float
    sd: float | None
    """Standard deviation with n - 1 in the denominator; None for a single number."""

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


def mean_over_seeds(values: Iterable[float]) -> SeedMean:
    """Return the mean and standard deviation of at least one number."""
    numbers = list(values)
    return SeedMean(len(numbers), fmean(numbers), stdev(numbers) if len(numbers) > 1 else None)


def paired_difference(values: Mapping[int, float], base: Mapping[int, float]) -> SeedMean | None:
    """Return `values` minus `base`, seed by seed, over the seeds that both have; None if they share none."""
    differences = [values[seed] - base[seed] for seed in sorted(values.keys() & base.keys())]
    return mean_over_seeds(differences) if differences else None


def rounded(value: float | None) -> float | None:
    """Return the value with the digits of the table's document."""
    return None if value is None else round(value, _DIGITS)
