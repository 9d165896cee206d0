"""Compare the space in which predictions and classes are compared with NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from svipctl.model.class_scorer import ClassScorer
from svipctl.model.recipe import Recipe

KINDS = ("l2", "centred", "whitened")


def classes(count: int, seed: int = 0, attributes: int = 6) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random((count, attributes))


def scorer(kind: str, seen: NDArray[np.float64], **switches: object) -> ClassScorer:
    made = ClassScorer(seen.shape[1], Recipe(class_attributes=kind, **switches))  # type: ignore[arg-type]
    made.fit(torch.from_numpy(seen))
    return made


def table(kind: str, seen: NDArray[np.float64], rows: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the rows that predictions are compared with, by their definition."""
    lengths = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (seen, rows)]
    if kind == "l2":
        return lengths[1]
    mean = lengths[0].mean(axis=0)
    matrix = np.eye(seen.shape[1])
    if kind == "whitened":
        covariance = np.cov((lengths[0] - mean).T, bias=True)
        values, vectors = np.linalg.eigh(covariance)
        matrix = vectors @ np.diag((values + share * values.max()) ** -0.5) @ vectors.T
    scale = np.linalg.norm((lengths[0] - mean) @ matrix, axis=1).mean()
    return (lengths[1] - mean) @ matrix / scale


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_tables_are_those_of_the_definition(kind: str, share: float) -> None:
    seen, every = classes(9), classes(14, seed=1)
    found = scorer(kind, seen, whitening_shrinkage=share).table(torch.from_numpy(every))
    np.testing.assert_allclose(found.numpy(), table(kind, seen, every, share), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("score", ["cosine", "dot"])
def test_scores_are_products_with_the_table(kind: str, score: str) -> None:
    seen, every = classes(9), classes(5, seed=2)
    predicted = np.random.default_rng(3).normal(size=(4, 6))
    found = scorer(kind, seen, class_score=score)(torch.from_numpy(predicted), torch.from_numpy(every))
    if score == "cosine":
        predicted = predicted / np.linalg.norm(predicted, axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), predicted @ table(kind, seen, every, 0.1).T, atol=1e-5)


@given(st.integers(1, 12), st.integers(0, 5))
def test_seen_classes_are_centred_and_of_length_one_on_average(count: int, seed: int) -> None:
    seen = classes(count + 1, seed)
    for kind in ("centred", "whitened"):
        rows = scorer(kind, seen).table(torch.from_numpy(seen)).numpy()
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1).mean(), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["centred", "whitened"])
def test_one_seen_class_or_equal_ones_give_finite_tables(kind: str) -> None:
    for seen in (classes(1), np.repeat(classes(1), 4, axis=0)):
        assert torch.isfinite(scorer(kind, seen).table(torch.from_numpy(classes(3, seed=5)))).all()


def test_the_space_is_saved_with_the_network_and_l2_saves_nothing() -> None:
    seen = classes(9)
    made = scorer("whitened", seen)
    other = ClassScorer(6, Recipe(class_attributes="whitened"))
    other.load_state_dict(made.state_dict())
    rows = torch.from_numpy(classes(3, seed=7))
    assert torch.equal(other.table(rows), made.table(rows))
    assert scorer("l2", seen).state_dict() == {}
