"""Compare the ranking of windows with scipy's and brute-force counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svipctl.evaluation.selection_quality import selection_quality
from svipctl.model.patch_classifier import ranking_quality


@given(seed=st.integers(0, 1000), kept=st.integers(1, 8), levels=st.integers(1, 50))
def test_auc_and_recall_equal_those_of_the_evaluation_including_ties(seed: int, kept: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, levels, (4, 9)).astype(float)
    unrelated = np.argsort(rng.random((4, 9)), axis=1) >= kept
    auc, recall = ranking_quality(torch.from_numpy(logits), torch.from_numpy(unrelated))
    expected = selection_quality(logits, unrelated, 9 - kept)
    assert {"auc": 100 * auc.item(), "recall": 100 * recall.item()} == pytest.approx(expected)


def test_equally_labelled_windows_give_chance_auc_and_full_recall() -> None:
    alike = torch.zeros(2, 4, dtype=torch.bool)
    assert [value.item() for value in ranking_quality(torch.rand(2, 4), alike)] == [0.5, 1.0]
    assert ranking_quality(torch.rand(2, 4), ~alike)[0].item() == 0.5
