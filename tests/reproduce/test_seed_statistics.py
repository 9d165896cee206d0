"""Compare means, deviations and paired intervals with scipy and with arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from svipctl.reproduce.seed_statistics import SeedMean, interval_over_images, paired_difference

percents = st.floats(0, 100)


@given(st.lists(percents, min_size=2, max_size=8))
def test_mean_and_deviation_equal_those_of_numpy(values: list[float]) -> None:
    found = SeedMean(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_number_has_no_deviation_and_no_interval() -> None:
    assert SeedMean([3.0]).sd is None
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


def test_over_images_one_seed_has_the_quantiles_of_its_differences() -> None:
    rng = np.random.default_rng(0)
    one, base = rng.random(1000), rng.random(1000)
    assert interval_over_images({3: one}, {3: base, 4: one}) == pytest.approx(np.quantile(one - base, [0.025, 0.975]))
    assert interval_over_images({0: one}, {1: base}) is None


def test_what_moves_both_rows_alike_does_not_widen_the_interval_over_images() -> None:
    rng = np.random.default_rng(0)
    images = 10 * rng.standard_normal(1000)
    found = interval_over_images(dict.fromkeys(range(3), images + 2), dict.fromkeys(range(3), images))
    assert found == pytest.approx((2, 2))


def test_seeds_that_disagree_widen_the_interval_over_images() -> None:
    base = {seed: np.zeros(1000) for seed in range(3)}
    low, high = interval_over_images({seed: np.full(1000, float(seed)) for seed in range(3)}, base) or (0, 0)
    assert (low, high) == (0, 2)  # each of the three seeds three times in 1 of 27 resamples
