"""Quality of the selection against counting pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.datasets.objects import window_shares
from svipctl.evaluation.selection import BACKGROUND_SHARE, selection_quality


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([2, 1000]), rejected=st.integers(1, 8))
def test_auc_and_recall_equal_brute_force(seed: int, levels: int, rejected: int) -> None:
    rng = np.random.default_rng(seed)
    unrelated, truth = rng.integers(0, levels, (4, 9)) / levels, rng.random((4, 9)) < 0.4
    aucs, recalls = [], []
    for values, marks in zip(unrelated, truth):
        if 0 < marks.sum() < 9:
            pairs = [(p > n) + (p == n) / 2 for p in values[marks] for n in values[~marks]]
            aucs.append(np.mean(pairs))
            chosen = sorted(range(9), key=lambda window, values=values: (-values[window], window))[:rejected]
            recalls.append(marks[chosen].sum() / min(marks.sum(), rejected))
    expected = {"auc": 100 * np.mean(aucs), "recall": 100 * np.mean(recalls)} if aucs else {}
    assert selection_quality(unrelated, truth, rejected) == pytest.approx(expected)


def test_perfect_and_inverted_selection_are_100_and_0() -> None:
    truth = np.array([[True, True, False, False]])
    assert selection_quality(truth.astype(float), truth, 2) == {"auc": 100, "recall": 100}
    assert selection_quality(1 - truth.astype(float), truth, 2) == {"auc": 0, "recall": 0}


def test_without_rejected_windows_there_is_no_recall_and_alike_windows_say_nothing() -> None:
    truth = np.array([[True, False]])
    assert set(selection_quality(np.array([[0.2, 0.1]]), truth, 0)) == {"auc"}
    assert selection_quality(np.array([[0.2, 0.1]]), np.array([[True, True]]), 1) == {}


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), height=st.integers(7, 40), width=st.integers(7, 40))
def test_background_windows_equal_counting_pixels(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.choice([0.02, 0.06, 0.5])
    expected = []
    for row in range(5):
        for column in range(7):
            top, bottom = round(height * row / 5), round(height * (row + 1) / 5)
            left, right = round(width * column / 7), round(width * (column + 1) / 7)
            expected.append(mask[top:bottom, left:right].mean() < 0.05)
    assert (window_shares(mask, 5, 7) < BACKGROUND_SHARE).ravel().tolist() == expected
