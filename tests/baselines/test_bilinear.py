"""Compare the bilinear map with plain stochastic gradient descent by autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.baselines.bilinear import BATCH_SIZE, MOMENTUM, bilinear


def by_autograd(
    features: torch.Tensor, labels: torch.Tensor, classes: torch.Tensor, rate: float, epochs: int
) -> torch.Tensor:
    mapping = torch.zeros(features.shape[1], classes.shape[1], requires_grad=True)
    optimizer = torch.optim.SGD([mapping], lr=rate, momentum=MOMENTUM)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(len(features), generator=order).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(features[batch] @ mapping @ classes.T, labels[batch])
            loss.backward()
            optimizer.step()
    return mapping.detach()


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 3), st.integers(2, 8), st.integers(1, 9))
@settings(max_examples=15)
def test_its_steps_equal_those_of_sgd_on_the_full_map(seed: int, rate: float, classes: int, attributes: int) -> None:
    rng = np.random.default_rng(seed)
    features, table = rng.standard_normal((2 * BATCH_SIZE + 7, 5)), rng.standard_normal((classes, attributes))
    rows = rng.integers(0, classes, len(features))
    lengths = [float(np.sqrt((some**2).sum(axis=1).mean())) for some in (features, table)]
    units = [torch.from_numpy(some / length).float() for some, length in zip((features, table), lengths)]
    expected = by_autograd(units[0], torch.from_numpy(rows), units[1], rate, 3) / (lengths[0] * lengths[1])
    (found,) = bilinear(features, rows, table, [(rate, 3)])
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(expected.abs().max())))


def test_each_learning_rate_and_epoch_gives_the_same_map_as_when_fitted_alone() -> None:
    rng = np.random.default_rng(1)
    features, rows, table = rng.standard_normal((300, 6)), rng.integers(0, 4, 300), rng.standard_normal((4, 5))
    grid = [(1.0, 1), (1.0, 4), (0.1, 4), (0.1, 2)]
    for setting, found in zip(grid, bilinear(features, rows, table, grid)):
        np.testing.assert_allclose(found, bilinear(features, rows, table, [setting])[0], rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_map_and_another_seed_a_different_one() -> None:
    rng = np.random.default_rng(2)
    features, rows, table = rng.standard_normal((300, 6)), rng.integers(0, 4, 300), rng.standard_normal((4, 5))
    first, again, other = (bilinear(features, rows, table, [(1.0, 2)], seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_attributes_that_do_not_distinguish_classes_give_a_map_of_zeros() -> None:
    (found,) = bilinear(np.ones((10, 3)), np.arange(10) % 2, np.zeros((2, 4)), [(1.0, 2)])
    assert found == pytest.approx(np.zeros((3, 4)))
