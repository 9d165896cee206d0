"""How long the rest of a plan takes, estimated from the steps that have ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean

from svipctl.reproduce.table_plan import StepKind

_SIMILAR: dict[StepKind, StepKind] = {"development": "final", "final": "development"}
"""Kinds that take about as long as each other."""


class RemainingTime:
    """Estimate of the time until the last step ends.

    Args:
        left: The kinds of the steps that are to be run.
        jobs: How many run at once.

    """

    def __init__(self, left: Iterable[StepKind], jobs: int) -> None:
        self._left = Counter(left)
        self._jobs = jobs
        self._seconds: defaultdict[StepKind, list[float]] = defaultdict(list)

    def ended(self, kind: StepKind, seconds: float | None) -> None:
        """Count a step as ended; `seconds` is None if its time says nothing of the others: it failed or was resumed."""
        self._left[kind] -= 1
        if seconds is not None:
            self._seconds[kind].append(seconds)

    def seconds(self) -> float | None:
        """Return the estimate; None while no step of a kind that is left has ended."""
        total = 0.0
        for kind, number in self._left.items():
            known = self._seconds[kind] or self._seconds[_SIMILAR.get(kind, kind)]
            if number and not known:
                return None
            total += number * fmean(known) if number else 0.0
        return total / self._jobs
