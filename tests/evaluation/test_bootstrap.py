"""Test bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.evaluation.bootstrap import ResampledAreas, intervals, paired_intervals, resampled_counts
from svipctl.evaluation.calibration import accuracies, harmonic_mean, seen_unseen_curve
from svipctl.evaluation.protocols import Scored
from tests.evaluation.cases import adversarial, scored

GAMMAS = {"gzsl": 0.0, "gzsl-oracle": 0.4}


@pytest.mark.parametrize("seed", range(3))
def test_intervals_contain_the_point_estimates(seed: int) -> None:
    answers = scored(seed, 400).answers()
    found = intervals(answers, GAMMAS, resamples=200)
    points = {
        ("zsl", "T1"): float(answers.class_weights() @ answers.unseen_correct),
        ("ausuc", "value"): seen_unseen_curve(answers).area,
    }
    for row, gamma in GAMMAS.items():
        unseen, seen = accuracies(answers, gamma)
        points |= {(row, "U"): unseen, (row, "S"): seen}
        points[row, "H"] = float(harmonic_mean(np.array(seen), np.array(unseen)))
    assert {(row, figure) for row in found for figure in found[row]} == set(points)
    for (row, figure), value in points.items():
        low, high = found[row][figure]
        assert low < value < high
        assert high - low < 0.3


def test_intervals_depend_only_on_the_seed() -> None:
    answers = scored(0).answers()
    first = intervals(answers, GAMMAS, resamples=60, seed=3)
    assert first == intervals(answers, GAMMAS, resamples=60, seed=3)
    assert first != intervals(answers, GAMMAS, resamples=60, seed=4)


@pytest.mark.parametrize("resamples", [1, 50, 73])
def test_every_resample_keeps_the_size_of_every_class(resamples: int) -> None:
    answers = scored(2, 31).answers()
    counts = np.concatenate(list(resampled_counts(answers, resamples, seed=0)))
    assert counts.shape == (resamples, 31)
    for label in range(6):
        assert (counts[:, answers.labels == label].sum(axis=1) == (answers.labels == label).sum()).all()


def test_every_image_is_drawn_about_once() -> None:
    counts = np.concatenate(list(resampled_counts(scored(2, 40).answers(), 500, seed=1)))
    assert abs(counts.mean(axis=0) - 1).max() < 0.25


def test_interval_of_perfect_answers_is_a_point() -> None:
    case = scored(0)
    case.scores[:] = 100 * np.eye(6)[case.labels]
    found = intervals(case.answers(), {"gzsl": 0.0}, resamples=20)
    assert found["gzsl"]["H"] == pytest.approx((1.0, 1.0))


def test_a_paired_difference_is_the_difference_in_each_resample() -> None:
    one, other = scored(0, 200).answers(), scored(0, 200, levels=1).answers()
    gammas, theirs = {"gzsl-oracle": 0.4}, {"gzsl-oracle": -0.1}
    found = paired_intervals(one, gammas, other, theirs, resamples=100, seed=3)
    differences = []
    for counts in np.concatenate(list(resampled_counts(one, 100, 3))):
        pair = [accuracies(answers, g["gzsl-oracle"], answers.class_weights() * counts)[0]
                for answers, g in ((one, gammas), (other, theirs))]  # fmt: skip
        differences.append(pair[1] - pair[0])
    assert found["gzsl-oracle"]["U"] == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    assert set(found) == {"zsl", "gzsl-oracle", "ausuc"}


def test_a_model_does_not_differ_from_itself() -> None:
    answers = scored(1).answers()
    found = paired_intervals(answers, GAMMAS, answers, GAMMAS, resamples=20)
    assert all(pair == (0.0, 0.0) for figures in found.values() for pair in figures.values())


def test_only_models_scored_on_the_same_images_are_compared() -> None:
    with pytest.raises(ValueError, match="same images"):
        paired_intervals(scored(0).answers(), GAMMAS, scored(1).answers(), GAMMAS, resamples=2)


@settings(max_examples=80)
@given(case=adversarial() | st.builds(scored, st.integers(0, 10**6), levels=st.sampled_from([0, 1])))
def test_the_area_of_a_resample_is_that_of_its_curve(case: Scored) -> None:
    answers = case.answers()
    counts = np.concatenate(list(resampled_counts(answers, 4, seed=1)))
    expected = [seen_unseen_curve(answers, answers.class_weights() * count).area for count in counts]
    np.testing.assert_allclose(ResampledAreas(answers)(counts), expected, atol=1e-12)
