"""The closed form beside the attribute head, against the formulas of its maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from svipctl.model.closed_form import ClosedForm
from svipctl.model.recipe import Recipe

WIDTH, ATTRIBUTES, CLASSES = 7, 4, 5
RNG = np.random.default_rng(0)
TOKENS = RNG.normal(size=(40, WIDTH))
ROOTS = np.sign(TOKENS) * np.sqrt(np.abs(TOKENS))
ROWS = np.arange(40) % CLASSES
TABLE = RNG.normal(size=(CLASSES, ATTRIBUTES))


def fitted(fusion: str, **switches: object) -> ClosedForm:
    made = ClosedForm(WIDTH, ATTRIBUTES, Recipe(fusion=fusion, **switches))  # type: ignore[arg-type]
    made.fit(torch.from_numpy(TOKENS), torch.from_numpy(ROWS), torch.from_numpy(TABLE))
    return made


def expected(fusion: str, for_tokens: float, for_classes: float) -> np.ndarray:
    """Return the map (D + 1, K) by solving its normal equations."""
    inputs = np.column_stack([ROOTS / np.linalg.norm(ROOTS, axis=1, keepdims=True), np.ones(len(ROOTS))])
    tokens = for_tokens * (inputs**2).sum() / (WIDTH + 1) * np.eye(WIDTH + 1)
    classes = for_classes * (TABLE**2).sum() / ATTRIBUTES * np.eye(ATTRIBUTES)
    if fusion == "ridge":
        return np.linalg.solve(inputs.T @ inputs + tokens, inputs.T @ TABLE[ROWS])
    if fusion == "eszsl":
        answers = np.where(ROWS[:, None] == np.arange(CLASSES), 1.0, -1.0)
        left = np.linalg.solve(inputs.T @ inputs + tokens, inputs.T @ answers @ TABLE)
        return left @ np.linalg.inv(TABLE.T @ TABLE + classes)
    means = np.stack([inputs[row == ROWS].mean(axis=0) for row in range(CLASSES)])
    return np.linalg.solve(TABLE.T @ TABLE + classes, TABLE.T @ means).T


@pytest.mark.parametrize("fusion", ["ridge", "eszsl", "prototypes"])
@pytest.mark.parametrize("penalties", [(1.0, 10.0), (0.1, 0.5)])
def test_maps_solve_their_equations(fusion: str, penalties: tuple[float, float]) -> None:
    made = fitted(fusion, fusion_penalties=penalties)
    np.testing.assert_allclose(made.matrix.numpy(), expected(fusion, *penalties), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_predictions_are_added_with_their_weight_each_of_length_one(weight: float) -> None:
    made = fitted("eszsl", fusion_weight=weight).double()
    tokens, attributes = torch.from_numpy(TOKENS), torch.randn(40, ATTRIBUTES, dtype=torch.float64)
    inputs = torch.cat([F.normalize(torch.from_numpy(ROOTS)), torch.ones(40, 1)], dim=1)
    closed = F.normalize(inputs @ made.matrix)
    torch.testing.assert_close(made(attributes, tokens), F.normalize(attributes) + weight * closed)


def test_an_unfitted_map_changes_no_direction() -> None:
    attributes = torch.randn(3, ATTRIBUTES)
    found = ClosedForm(WIDTH, ATTRIBUTES, Recipe(fusion="ridge"))(attributes, torch.randn(3, WIDTH))
    torch.testing.assert_close(found, F.normalize(attributes))
