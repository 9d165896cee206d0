"""Means, deviations and paired intervals against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from svipctl.reproduce.seed_statistics import mean_over_seeds, paired_difference

percents = st.floats(0, 100)


@given(st.lists(percents, min_size=2, max_size=8))
def test_mean_and_deviation_are_those_of_numpy(values: list[float]) -> None:
    found = mean_over_seeds(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_number_has_no_deviation_and_no_interval() -> None:
    assert mean_over_seeds([3.0]).sd is None
    found = paired_difference({0: 5.0}, {0: 3.0})
    assert found is not None
    assert (found.n, found.mean, found.sd, found.interval) == (1, 2.0, None, None)


def test_a_paired_difference_has_the_interval_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    one, base = rng.random(5) * 100, rng.random(5) * 100
    found = paired_difference(dict(enumerate(one)), dict(enumerate(base)))
    expected = ttest_rel(one, base).confidence_interval(0.95)
    assert found is not None
    assert found.mean == pytest.approx((one - base).mean())
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_only_seeds_that_both_have_are_compared() -> None:
    found = paired_difference({0: 1.0, 2: 5.0, 3: 9.0}, {2: 4.0, 3: 7.0, 4: 0.0})
    assert found is not None
    assert (found.n, found.mean) == (2, 1.5)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
