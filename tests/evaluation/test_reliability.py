"""Compare confidence and accuracy with counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from svipctl.evaluation.protocols import Scored
from svipctl.evaluation.reliability import BINS, reliability
from tests.evaluation.cases import scored


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_bins_and_error_equal_those_counted_image_by_image(gamma: float) -> None:
    case = scored(2, 300)
    scores = case.scores - gamma * np.isin(np.arange(6), case.seen_classes)
    probabilities = softmax(2.0 * scores, axis=1)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(probabilities, case.labels):
        bins.setdefault(min(int(row.max() * BINS), BINS - 1), []).append((row.max(), row.argmax() == label))
    found = reliability(case, gamma, scale=2.0)
    expected = [bins[number] for number in sorted(bins)]
    assert found.images.tolist() == [len(one) for one in expected]
    assert found.confidence == pytest.approx([np.mean([c for c, _ in one]) for one in expected])
    assert found.accuracy == pytest.approx([np.mean([r for _, r in one]) for one in expected])
    gaps = [abs(np.mean([c for c, _ in one]) - np.mean([r for _, r in one])) * len(one) for one in expected]
    assert found.error == pytest.approx(sum(gaps) / 300)


def test_confident_correct_answers_have_no_error_and_confident_wrong_ones_the_largest() -> None:
    scores = np.eye(4)[[0, 1, 2, 3]] * 1000
    classes = np.array([0, 1]), np.array([2, 3])
    assert reliability(Scored(scores, np.arange(4), *classes), scale=5.0).error == pytest.approx(0)
    assert reliability(Scored(scores, np.array([1, 0, 3, 2]), *classes), scale=5.0).error == pytest.approx(1)


def test_without_images_the_error_is_zero() -> None:
    nothing = Scored(np.zeros((0, 2)), np.zeros(0, dtype=int), np.array([0]), np.array([1]))
    assert reliability(nothing, scale=5.0).error == 0
