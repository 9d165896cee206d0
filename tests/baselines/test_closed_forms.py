"""Test that each closed form is the minimum of its objective."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import solve_sylvester

from svipctl.baselines.sae import sae
from svipctl.model.eszsl import eszsl
from svipctl.model.ridge import prototypes, ridge, spectrum

Floats = NDArray[np.float64]
shapes = st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))


def case(images: int, width: int, attributes: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((images, width)), rng.standard_normal((images, attributes))


@given(shapes, st.floats(1e-2, 1e2))
@settings(max_examples=50)
def test_ridge_equals_least_squares_with_penalty_rows(shape: tuple[int, int, int, int], weight: float) -> None:
    features, targets = case(*shape)
    width = features.shape[1]
    stacked = np.vstack([features, np.sqrt(weight) * np.eye(width)])
    expected = np.linalg.lstsq(stacked, np.vstack([targets, np.zeros((width, targets.shape[1]))]), rcond=None)[0]
    (found,) = ridge(features, targets, [weight])
    np.testing.assert_allclose(found, expected, atol=1e-9 * max(1.0, np.abs(expected).max()))


def test_ridge_of_several_weights_equals_ridge_of_each_weight_alone() -> None:
    features, targets = case(20, 5, 3, 0)
    weights = [1e-3, 1.0, 50.0]
    for weight, found in zip(weights, ridge(features, targets, weights)):
        np.testing.assert_allclose(found, ridge(features, targets, [weight])[0], atol=1e-12)


@given(shapes)
@settings(max_examples=30)
def test_the_spectrum_reconstructs_the_gram_matrix(shape: tuple[int, int, int, int]) -> None:
    table, _ = case(*shape)
    values, vectors = spectrum(np.column_stack([table, table[:, :1]]))
    assert len(values) <= min(len(table), table.shape[1])
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-9)
    again = np.column_stack([table, table[:, :1]])
    np.testing.assert_allclose(vectors * values @ vectors.T, again.T @ again, atol=1e-9 * max(1.0, values[-1]))


@given(st.integers(0, 2**32 - 1), st.floats(1e-2, 1e2))
@settings(max_examples=30)
def test_prototypes_are_ridge_regression_to_class_means_with_one_row_per_class(seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    table, rows = rng.standard_normal((4, 3)), np.append(np.arange(4), rng.integers(0, 4, 20))
    features = rng.standard_normal((24, 5))
    means = np.zeros((4, 5))
    for row in range(4):
        means[row] = sum(features[rows == row]) / (rows == row).sum()
    expected = np.linalg.solve(table.T @ table + weight * np.eye(3), table.T @ means)
    (found,) = prototypes(features, rows, table, [weight])
    np.testing.assert_allclose(found, expected, atol=1e-9 * max(1.0, np.abs(expected).max()))


def eszsl_loss(
    mapping: Floats, features: Floats, answers: Floats, table: Floats, weights: tuple[float, float]
) -> float:
    of_features, of_attributes = weights
    scores = features @ mapping @ table.T
    return float(
        ((scores - answers) ** 2).sum()
        + of_features * ((mapping @ table.T) ** 2).sum()
        + of_attributes * ((features @ mapping) ** 2).sum()
        + of_features * of_attributes * (mapping**2).sum()
    )


@pytest.mark.parametrize("weights", [(0.1, 0.1), (5.0, 0.2), (0.3, 40.0)])
def test_eszsl_is_the_minimum_of_its_objective(weights: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    features, table, rows = rng.standard_normal((25, 6)), rng.standard_normal((4, 5)), rng.integers(0, 4, 25)
    answers = np.where(rows[:, None] == np.arange(4), 1.0, -1.0)
    (found,) = eszsl(features, rows, table, [weights])
    least = eszsl_loss(found, features, answers, table, weights)
    for _ in range(50):
        step = 1e-3 * rng.standard_normal(found.shape)
        above, below = (eszsl_loss(found + sign * step, features, answers, table, weights) for sign in (1, -1))
        assert above > least
        assert below > least
        assert above - least == pytest.approx(below - least, rel=1e-6)  # the gradient is zero: a quadratic's minimum


def test_eszsl_is_the_published_product_of_inverses() -> None:
    rng = np.random.default_rng(2)
    features, table, rows = rng.standard_normal((30, 7)), rng.standard_normal((5, 4)), rng.integers(0, 5, 30)
    answers = 2 * np.eye(5)[rows] - 1
    left = np.linalg.inv(features.T @ features + 2.0 * np.eye(7))
    right = np.linalg.inv(table.T @ table + 0.5 * np.eye(4))
    expected = left @ features.T @ answers @ table @ right
    np.testing.assert_allclose(eszsl(features, rows, table, [(2.0, 0.5)])[0], expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
@settings(max_examples=30)
def test_sae_equals_scipys_solution_of_its_sylvester_equation(seed: int, weight: float) -> None:
    features, targets = case(40, 8, 5, seed)
    expected = solve_sylvester(
        targets.T @ targets, weight * features.T @ features, (1 + weight) * targets.T @ features
    ).T
    (found,) = sae(features, targets, [weight])
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_sae_with_fewer_images_than_features_solves_its_equation() -> None:
    features, targets = case(6, 20, 9, 3)
    (found,) = sae(features, targets, [0.7])
    left = found @ targets.T @ targets + 0.7 * features.T @ features @ found
    np.testing.assert_allclose(left, 1.7 * features.T @ targets, atol=1e-9)
    assert np.isfinite(found).all()
