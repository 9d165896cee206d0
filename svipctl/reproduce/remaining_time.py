"""Estimate the time that the rest of a plan takes from the steps that have ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean

from svipctl.reproduce.table_plan import StepKind

_SIMILAR: dict[StepKind, StepKind] = {"development": "final", "final": "development"}
"""Kinds of steps that take about the same time."""


class RemainingTime:
    """Estimate of the time until the last step ends.

    Args:
        left: Kinds of the steps that are left.
        jobs: Number of commands that run at once.

    """

    def __init__(self, left: Iterable[StepKind], jobs: int) -> None:
        self._left = Counter(left)
        self._jobs = jobs
        self._seconds: defaultdict[StepKind, list[float]] = defaultdict(list)

    def ended(self, kind: StepKind, seconds: float | None) -> None:
        """Record the end of a step; `seconds` is None if its time is not typical because it failed or was resumed."""
        self._left[kind] -= 1
        if seconds is not None:
            self._seconds[kind].append(seconds)

    def seconds(self) -> float | None:
        """Return the estimate; None until a step of each kind that is left has ended."""
        total = 0.0
        for kind, number in self._left.items():
            known = self._seconds[kind] or self._seconds[_SIMILAR.get(kind, kind)]
            if number and not known:
                return None
            total += number * fmean(known) if number else 0.0
        return total / self._jobs
