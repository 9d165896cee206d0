"""Compare the published protocol with its literal numpy form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.evaluation.protocols import Scored
from svipctl.evaluation.reference_row import published_row
from tests.evaluation.cases import scored


def literal(case: Scored, scale: float) -> tuple[float, float, float, float]:
    exponentials = np.exp(scale * case.scores)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    is_seen = np.isin(case.labels, case.seen_classes)
    best = (0.0, 0.0, 0.0, -1.0)
    for offset in np.arange(-1, 1, 0.01):
        shifted = probabilities.copy()
        shifted[:, case.unseen_classes] += offset
        right = shifted.argmax(axis=1) == case.labels
        unseen, seen = right[~is_seen].mean(), right[is_seen].mean()
        harmonic = 2 * seen * unseen / (seen + unseen) if seen + unseen else 0.0
        if harmonic > best[3]:
            best = (offset, unseen, seen, harmonic)
    return best


def row_of(case: Scored, **scale: float) -> dict[str, float]:
    classes = np.union1d(case.seen_classes, case.unseen_classes)
    return published_row(case.answers(), case.scores, classes, **scale)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), images=st.integers(6, 60), scale=st.sampled_from([0.5, 1.0, 5.0]))
def test_row_equals_the_literal_grid(seed: int, images: int, scale: float) -> None:
    case = scored(seed, images)
    assert tuple(row_of(case, scale=scale).values()) == pytest.approx(literal(case, scale))


def test_columns_outside_both_sides_do_not_count() -> None:
    case = scored(4)
    wider = np.concatenate([case.scores, np.full((60, 1), 50.0)], axis=1)
    assert row_of(replace(case, scores=wider)) == row_of(case)


def test_accuracy_is_per_image_not_per_class() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2, 2, 3])
    scores = np.eye(4)[labels] * 3
    scores[[3, 7]] = scores[[0, 4]]
    row = row_of(Scored(scores, labels, np.array([0, 1]), np.array([2, 3])))
    assert (row["S"], row["U"]) == (0.75, 0.75)
