"""Compare the closed form next to the attribute head with the formulas of its maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from svipctl.model.class_scorer import ClassScorer
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
    raise ValueError(fusion)


@pytest.mark.parametrize("fusion", ["ridge", "eszsl"])
@pytest.mark.parametrize("penalties", [(1.0, 10.0), (0.1, 0.5)])
def test_maps_solve_their_equations(fusion: str, penalties: tuple[float, float]) -> None:
    made = fitted(fusion, fusion_penalties=penalties)
    np.testing.assert_allclose(made.matrix.numpy(), expected(fusion, *penalties), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_weighted_predictions_of_length_one_are_added(weight: float) -> None:
    made = fitted("eszsl", fusion_weight=weight).double()
    tokens, attributes = torch.from_numpy(TOKENS), torch.randn(40, ATTRIBUTES, dtype=torch.float64)
    inputs = torch.cat([F.normalize(torch.from_numpy(ROOTS)), torch.ones(40, 1)], dim=1)
    closed = F.normalize(inputs @ made.matrix)
    torch.testing.assert_close(made(attributes, tokens), F.normalize(attributes) + weight * closed)


def test_an_unfitted_map_changes_no_direction() -> None:
    attributes = torch.randn(3, ATTRIBUTES)
    found = ClosedForm(WIDTH, ATTRIBUTES, Recipe(fusion="ridge"))(attributes, torch.randn(3, WIDTH))
    torch.testing.assert_close(found, F.normalize(attributes))


def class_prototypes(penalty: float) -> np.ndarray:
    """Return the prototypes (C, D) of the classes by solving the normal equations of their regression."""
    inputs = ROOTS / np.linalg.norm(ROOTS, axis=1, keepdims=True)
    means = np.stack([inputs[row == ROWS].mean(axis=0) for row in range(CLASSES)])
    extended = np.column_stack([TABLE, np.ones(CLASSES)])
    added = penalty * (extended**2).sum() / (ATTRIBUTES + 1) * np.eye(ATTRIBUTES + 1)
    return extended @ np.linalg.solve(extended.T @ extended + added, extended.T @ means)


@pytest.mark.parametrize("penalty", [0.1, 1.0])
def test_prototypes_solve_their_equations_and_predict_dot_products_with_images(penalty: float) -> None:
    made = fitted("none", prototype_weight=1.0, prototype_penalty=penalty).double()
    expected_prototypes = class_prototypes(penalty)
    extended = F.pad(torch.from_numpy(TABLE), (0, 1), value=1.0)
    np.testing.assert_allclose((extended @ made.prototypes).numpy(), expected_prototypes, rtol=1e-4, atol=1e-5)
    tokens, nothing = torch.from_numpy(TOKENS), torch.zeros(40, ATTRIBUTES, dtype=torch.float64)
    scores = made(nothing, tokens) @ torch.from_numpy(TABLE).T
    dots = F.normalize(torch.from_numpy(ROOTS)) @ torch.from_numpy(expected_prototypes).T
    centred, of_dots = scores - scores.mean(dim=1, keepdim=True), dots - dots.mean(dim=1, keepdim=True)
    torch.testing.assert_close(F.normalize(centred), F.normalize(of_dots), rtol=1e-3, atol=1e-4)


def test_correcting_for_the_length_of_prototypes_ranks_classes_like_their_cosine() -> None:
    tokens = torch.from_numpy(
        5 + TABLE[ROWS] @ RNG.normal(size=(ATTRIBUTES, WIDTH)) + 0.3 * RNG.normal(size=(40, WIDTH))
    )
    rows, table = torch.from_numpy(ROWS), torch.from_numpy(TABLE)
    recipe = Recipe(class_score="dot", prototype_weight=1.5, prototype_penalty=0.01)
    made, scorer = ClosedForm(WIDTH, ATTRIBUTES, recipe).double(), ClassScorer(ATTRIBUTES, recipe).double()
    lengths = made.fit(tokens, rows, table)
    assert lengths is not None
    predicted = made(torch.zeros(40, ATTRIBUTES, dtype=torch.float64), tokens)
    uncorrected = scorer.compare(predicted, table)
    scorer.lengths.copy_(lengths)
    corrected = scorer.compare(predicted, table)
    prototypes = F.pad(table, (0, 1), value=1.0) @ made.prototypes
    cosines = F.normalize(tokens.sign() * tokens.abs().sqrt()) @ F.normalize(prototypes).T

    def agreement(scores: torch.Tensor) -> float:
        return float((scores.argmax(dim=1) == cosines.argmax(dim=1)).double().mean())

    assert agreement(corrected) > 0.9 > agreement(uncorrected)


def test_unfitted_prototypes_change_no_score() -> None:
    recipe = Recipe(prototype_weight=2.0)
    attributes, table = torch.randn(3, ATTRIBUTES), torch.randn(CLASSES, ATTRIBUTES)
    found = ClosedForm(WIDTH, ATTRIBUTES, recipe)(attributes, torch.randn(3, WIDTH))
    plain = ClassScorer(ATTRIBUTES, Recipe())
    torch.testing.assert_close(ClassScorer(ATTRIBUTES, recipe).compare(found, table), plain.compare(attributes, table))
