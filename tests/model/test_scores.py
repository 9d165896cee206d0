"""Compare class scores with numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.model.scores import class_scores, normalise_class_attributes


def draw(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), epsilon=st.sampled_from([0.0, 1e-5, 0.5]))
def test_normalised_rows_are_divided_by_norm_plus_epsilon(seed: int, epsilon: float) -> None:
    table = draw(4, 3, seed)
    expected = table / (np.sqrt((table**2).sum(axis=1, keepdims=True)) + epsilon)
    np.testing.assert_allclose(normalise_class_attributes(torch.from_numpy(table), epsilon).numpy(), expected)


def test_a_zero_row_stays_zero() -> None:
    table = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert torch.equal(normalise_class_attributes(table), torch.tensor([[0.0, 0.0], [0.6, 0.8]]))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_dot_is_the_plain_product_and_cosine_divides_by_the_prediction_norm(seed: int) -> None:
    predicted, table = draw(5, 3, seed), draw(4, 3, seed + 1)
    arguments = torch.from_numpy(predicted), torch.from_numpy(table)
    np.testing.assert_allclose(class_scores(*arguments, "dot").numpy(), predicted @ table.T)
    expected = predicted @ table.T / np.linalg.norm(predicted, axis=1, keepdims=True)
    np.testing.assert_allclose(class_scores(*arguments, "cosine").numpy(), expected, atol=1e-12)


@settings(max_examples=30)
@given(factor=st.floats(0.01, 100))
def test_cosine_ignores_the_length_of_a_prediction(factor: float) -> None:
    predicted, table = torch.from_numpy(draw(5, 3, 0)), torch.from_numpy(draw(4, 3, 1))
    torch.testing.assert_close(
        class_scores(factor * predicted, table, "cosine"), class_scores(predicted, table, "cosine")
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_half_precision_predictions_are_scored_in_the_tables_precision(dtype: torch.dtype) -> None:
    predicted, table = torch.from_numpy(draw(5, 3, 0)).bfloat16(), torch.from_numpy(draw(4, 3, 1)).to(dtype)
    scores = class_scores(predicted, table, "dot")
    assert scores.dtype == dtype
    torch.testing.assert_close(scores, predicted.to(dtype) @ table.T)
