"""Mean and deviation over seeds, and paired differences with Student's intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import t

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Of some numbers."""

    n: int
    mean: float
    sd: float | None
    """With n - 1 in the denominator; None of a single number."""


@dataclass(frozen=True)
class Difference(Summary):
    """Of paired numbers, with the interval of their mean."""

    interval: tuple[float, float] | None
    """95 %, from Student's distribution with n - 1 degrees of freedom; None of a single pair."""


def summary(values: Sequence[float]) -> Summary:
    """Of at least one number."""
    return Summary(len(values), fmean(values), stdev(values) if len(values) > 1 else None)


def paired(values: Mapping[int, float], base: Mapping[int, float]) -> Difference | None:
    """`values` minus `base`, seed by seed, over the seeds that both have; None when they share none."""
    differences = [values[seed] - base[seed] for seed in sorted(values.keys() & base.keys())]
    if not differences:
        return None
    found = summary(differences)
    if found.sd is None:
        return Difference(found.n, found.mean, None, None)
    half = float(t.ppf((1 + LEVEL) / 2, found.n - 1)) * found.sd / sqrt(found.n)
    return Difference(found.n, found.mean, found.sd, (found.mean - half, found.mean + half))
