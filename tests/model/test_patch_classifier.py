"""Compare the ranking of windows with scipy's and brute-force counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svipctl.evaluation.selection_quality import selection_quality
from svipctl.model.patch_classifier import ranking_quality


@given(seed=st.integers(0, 1000), kept=st.integers(1, 8), levels=st.integers(2, 50))
def test_auc_equals_that_of_the_evaluation_including_ties(seed: int, kept: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, levels, (4, 9)).astype(float)
    unrelated = np.argsort(rng.random((4, 9)), axis=1) >= kept
    auc, _ = ranking_quality(torch.from_numpy(logits), torch.from_numpy(unrelated))
    assert 100 * auc.item() == pytest.approx(selection_quality(logits, unrelated, 9 - kept)["auc"])


@given(seed=st.integers(0, 1000), kept=st.integers(1, 8))
def test_recall_equals_that_of_the_evaluation_without_ties(seed: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.permuted(np.tile(np.arange(9.0), (4, 1)), axis=1)
    unrelated = np.argsort(rng.random((4, 9)), axis=1) >= kept
    _, recall = ranking_quality(torch.from_numpy(logits), torch.from_numpy(unrelated))
    assert 100 * recall.item() == pytest.approx(selection_quality(logits, unrelated, 9 - kept)["recall"])


def test_equally_labelled_windows_give_chance_auc_and_full_recall() -> None:
    alike = torch.zeros(2, 4, dtype=torch.bool)
    assert [value.item() for value in ranking_quality(torch.rand(2, 4), alike)] == [0.5, 1.0]
    assert ranking_quality(torch.rand(2, 4), ~alike)[0].item() == 0.5
