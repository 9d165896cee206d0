"""Compare the exact curve with brute force over every gamma that can matter."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.evaluation.calibration import (
    Answers,
    Curve,
    accuracies,
    harmonic_mean,
    pooled_gamma,
    seen_unseen_curve,
    unit_rows,
)
from svipctl.evaluation.protocols import Scored
from tests.evaluation.cases import adversarial, scored

random_cases = st.builds(scored, st.integers(0, 10**6), st.integers(6, 40), levels=st.sampled_from([0, 1, 2]))


def stacked(case: Scored, gamma: float) -> np.ndarray:
    """Return the answers by definition: the best seen class wins if it exceeds the best unseen one by over gamma."""
    answers = []
    for row in case.scores:
        seen, unseen = row[case.seen_classes], row[case.unseen_classes]
        side = (case.seen_classes, seen) if seen.max() - unseen.max() > gamma else (case.unseen_classes, unseen)
        answers.append(side[0][side[1].argmax()])
    return np.array(answers)


def per_class(case: Scored, answers: np.ndarray, classes: np.ndarray) -> float:
    present = [label for label in classes if (case.labels == label).any()]
    return float(np.mean([(answers == label)[case.labels == label].mean() for label in present])) if present else 0.0


def brute_force(case: Scored) -> list[tuple[float, float]]:
    """Return U and S at every margin and beyond both ends, without repeated points."""
    margins = case.scores[:, case.seen_classes].max(1) - case.scores[:, case.unseen_classes].max(1)
    points = []
    for gamma in [margins.min() - 1, *np.unique(margins)]:
        answers = stacked(case, gamma)
        points.append((per_class(case, answers, case.unseen_classes), per_class(case, answers, case.seen_classes)))
    return points


@settings(max_examples=120)
@given(case=adversarial() | random_cases)
def test_curve_equals_brute_force_over_all_gammas(case: Scored) -> None:
    curve = seen_unseen_curve(case.answers())
    expected = np.array(brute_force(case))
    np.testing.assert_allclose(curve.unseen, expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(curve.seen, expected[:, 1], atol=1e-12)
    area = sum((u1 - u0) * (s0 + s1) / 2 for (u0, s0), (u1, s1) in pairwise(expected))
    assert curve.area == pytest.approx(area, abs=1e-12)
    best = max(2 * s * u / (s + u) if s + u else 0.0 for u, s in expected)
    assert curve.harmonic[curve.best()] == pytest.approx(best)


@settings(max_examples=80)
@given(case=adversarial() | random_cases)
def test_each_gamma_of_the_curve_reaches_its_point(case: Scored) -> None:
    answers = case.answers()
    curve = seen_unseen_curve(answers)
    assert (np.diff(curve.gammas) > 0).all()
    for gamma, unseen, seen in zip(curve.gammas, curve.unseen, curve.seen):
        assert accuracies(answers, gamma) == pytest.approx((unseen, seen), abs=1e-12)


def test_the_ends_of_the_curve_are_reached_for_scores_too_large_for_a_step_of_one() -> None:
    case = scored(0)
    huge = replace(case, scores=case.scores * 1e20)
    curve = seen_unseen_curve(huge.answers())
    for end in (0, -1):
        reached = accuracies(huge.answers(), curve.gammas[end])
        assert reached == pytest.approx((curve.unseen[end], curve.seen[end]), abs=1e-12)


def test_unit_rows_have_length_one_and_a_zero_row_stays_zero() -> None:
    table = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    assert unit_rows(table).tolist() == [[0.6, 0.8], [0, 0], [0, -1]]


@settings(max_examples=80)
@given(case=adversarial() | random_cases, gamma=st.sampled_from([-1.0, 0.0, 0.5]) | st.floats(-4, 4))
def test_predicted_equals_the_definition_at_any_gamma(case: Scored, gamma: float) -> None:
    np.testing.assert_array_equal(case.answers().predicted(gamma), stacked(case, gamma))


@settings(max_examples=60)
@given(case=random_cases)
def test_curve_is_monotone(case: Scored) -> None:
    curve = seen_unseen_curve(case.answers())
    assert (np.diff(curve.unseen) >= 0).all()
    assert (np.diff(curve.seen) <= 0).all()
    assert 0 <= curve.area <= 1 + 1e-12


def test_curve_without_images_is_one_point_at_zero() -> None:
    case = Scored(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.array([0]), np.array([1]))
    curve = seen_unseen_curve(case.answers())
    assert (curve.gammas.tolist(), curve.unseen.tolist(), curve.seen.tolist()) == ([0.0], [0.0], [0.0])


def test_other_weights_give_per_image_accuracies() -> None:
    case = scored(1)
    answers = case.answers()
    weights = np.where(answers.is_seen, 1 / answers.is_seen.sum(), 1 / (~answers.is_seen).sum())
    right = stacked(case, 0.3) == case.labels
    expected = right[~answers.is_seen].mean(), right[answers.is_seen].mean()
    assert accuracies(answers, 0.3, weights) == pytest.approx(expected)


def test_harmonic_mean_is_zero_if_both_are_zero() -> None:
    result = harmonic_mean(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 0.0]))
    assert result.tolist() == [0.0, 0.5, 0.0]


@given(st.integers(1, 4), st.integers(2, 30), st.integers(0, 99))
def test_the_pooled_gamma_has_the_largest_mean_h(folds: int, images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(folds):
        labels = np.concatenate([rng.integers(0, 5, images), [0, 4]])
        scores = rng.normal(size=(images + 2, 5)).round(1)
        answers.append(Answers.from_scores(scores, labels, np.arange(3), np.arange(3, 5)))

    def mean(gamma: float) -> float:
        pairs = [accuracies(one, gamma) for one in answers]
        return float(np.mean([2 * u * s / (u + s) if u + s else 0.0 for u, s in pairs]))

    found = pooled_gamma([seen_unseen_curve(one) for one in answers])
    margins = np.concatenate([one.margins for one in answers])
    assert mean(found) == pytest.approx(max(mean(gamma) for gamma in [margins.min() - 1, *margins]))


@given(st.integers(0, 40), st.integers(0, 99))
def test_a_curve_read_from_its_document_has_the_same_h_everywhere(images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(images, 4)).round(1), rng.integers(0, 4, images)
    curve = seen_unseen_curve(Answers.from_scores(scores, labels, np.arange(2), np.arange(2, 4)))
    again = Curve.of_document(json.loads(json.dumps(curve.document())))
    gammas = np.concatenate([curve.gammas, curve.steps, rng.normal(size=20)])
    np.testing.assert_array_equal(again.harmonic_at(gammas), curve.harmonic_at(gammas))
    assert again.harmonic.max() == curve.harmonic.max()
