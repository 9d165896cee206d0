"""How long the rest of a plan takes."""

from __future__ import annotations

from svipctl.reproduce.remaining_time import RemainingTime
from svipctl.reproduce.table_plan import StepKind

_PLAN: tuple[StepKind, ...] = ("development", "final", "final", "evaluation", "evaluation")


def test_nothing_is_said_of_a_kind_that_was_not_seen() -> None:
    remaining = RemainingTime(_PLAN, jobs=1)
    assert remaining.seconds() is None
    remaining.ended("development", 100.0)
    assert remaining.seconds() is None  # an evaluation has not been seen


def test_what_is_left_takes_the_mean_of_its_kind_and_final_runs_as_long_as_development_runs_at_first() -> None:
    remaining = RemainingTime(_PLAN, jobs=2)
    remaining.ended("development", 100.0)
    remaining.ended("evaluation", 10.0)
    assert remaining.seconds() == (2 * 100 + 10) / 2
    remaining.ended("final", 60.0)
    assert remaining.seconds() == (60 + 10) / 2


def test_what_failed_or_was_begun_before_counts_as_over_and_as_no_measure() -> None:
    remaining = RemainingTime(_PLAN, jobs=1)
    remaining.ended("development", None)
    remaining.ended("final", 60.0)
    remaining.ended("evaluation", None)
    assert remaining.seconds() is None
    remaining.ended("evaluation", 10.0)
    remaining.ended("final", 60.0)
    assert remaining.seconds() == 0.0
