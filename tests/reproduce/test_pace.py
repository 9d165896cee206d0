"""How long the rest of a plan takes."""

from __future__ import annotations

from svipctl.reproduce.pace import Pace
from svipctl.reproduce.plan import Kind

_PLAN: tuple[Kind, ...] = ("development", "final", "final", "evaluation", "evaluation")


def test_nothing_is_said_of_a_kind_that_was_not_seen() -> None:
    pace = Pace(_PLAN, jobs=1)
    assert pace.seconds_left() is None
    pace.ended("development", 100.0)
    assert pace.seconds_left() is None  # an evaluation has not been seen


def test_what_is_left_takes_the_mean_of_its_kind_and_final_runs_as_long_as_development_runs_at_first() -> None:
    pace = Pace(_PLAN, jobs=2)
    pace.ended("development", 100.0)
    pace.ended("evaluation", 10.0)
    assert pace.seconds_left() == (2 * 100 + 10) / 2
    pace.ended("final", 60.0)
    assert pace.seconds_left() == (60 + 10) / 2


def test_what_failed_or_was_begun_before_counts_as_over_and_as_no_measure() -> None:
    pace = Pace(_PLAN, jobs=1)
    pace.ended("development", None)
    pace.ended("final", 60.0)
    pace.ended("evaluation", None)
    assert pace.seconds_left() is None
    pace.ended("evaluation", 10.0)
    pace.ended("final", 60.0)
    assert pace.seconds_left() == 0.0
