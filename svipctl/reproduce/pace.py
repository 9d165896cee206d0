"""How long the rest of a plan takes, judged by what it has taken so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean

from svipctl.reproduce.plan import Kind

_ALIKE: dict[Kind, Kind] = {"development": "final", "final": "development"}
"""Kinds that take about as long as each other."""


class Pace:
    """Seconds of the steps that have ended, by kind.

    Args:
        left: The kinds of the steps that are to be run.
        jobs: How many run at once.

    """

    def __init__(self, left: Iterable[Kind], jobs: int) -> None:
        self._left = Counter(left)
        self._jobs = jobs
        self._seconds: defaultdict[Kind, list[float]] = defaultdict(list)

    def ended(self, kind: Kind, seconds: float | None) -> None:
        """A step is over; `seconds` is None when it says nothing of the others: it failed, or was begun before."""
        self._left[kind] -= 1
        if seconds is not None:
            self._seconds[kind].append(seconds)

    def seconds_left(self) -> float | None:
        """Until the last step ends; None while a kind that is left has not been seen."""
        total = 0.0
        for kind, number in self._left.items():
            known = self._seconds[kind] or self._seconds[_ALIKE.get(kind, kind)]
            if number and not known:
                return None
            total += number * fmean(known) if number else 0.0
        return total / self._jobs
