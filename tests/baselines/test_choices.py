"""Test the preparation of features and attributes, and that grids and single fits agree."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from svipctl.baselines.choices import (
    GRIDS,
    METHODS,
    Method,
    Preparation,
    Targets,
    attributes_for,
    compared,
    maps,
    preparation_of,
    score,
)
from svipctl.evaluation.calibration import unit_rows
from svipctl.model.ridge import spectrum

RNG = np.random.default_rng(0)
FEATURES = RNG.random((30, 6)) + 2
ROWS = np.arange(30) % 5
TABLE = RNG.random((5, 4))


def test_each_preparation_normalises_as_its_name_says() -> None:
    lengths = np.linalg.norm(preparation_of("l2", FEATURES)(FEATURES)[:, :-1], axis=1)
    np.testing.assert_allclose(lengths, 1)
    roots = preparation_of("root-l2", -FEATURES)(-FEATURES)[:, :-1]
    np.testing.assert_allclose(roots, -np.sqrt(FEATURES) / np.sqrt(FEATURES.sum(axis=1, keepdims=True)))
    centred = preparation_of("l2-centred", FEATURES)(FEATURES)[:, :-1]
    np.testing.assert_allclose(centred, unit_rows(FEATURES) - unit_rows(FEATURES).mean(axis=0))
    standardised = preparation_of("standardised", FEATURES)(FEATURES)[:, :-1]
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.std(axis=0), 1)
    np.testing.assert_array_equal(preparation_of("plain", FEATURES)(FEATURES)[:, :-1], FEATURES)


@pytest.mark.parametrize("preparation", get_args(Preparation))
def test_an_image_is_prepared_from_the_training_images_alone(preparation: Preparation) -> None:
    prepared = preparation_of(preparation, FEATURES)
    others = RNG.random((7, 6)) * 100
    together = prepared(np.vstack([FEATURES[:1], others]))
    np.testing.assert_array_equal(together[0], prepared(FEATURES[:1])[0])


def test_a_constant_feature_does_not_divide_by_zero() -> None:
    constant = np.ones((4, 2))
    assert np.isfinite(preparation_of("standardised", constant)(constant)).all()


@pytest.mark.parametrize("targets", get_args(Targets))
def test_attributes_of_a_class_do_not_depend_on_other_unseen_classes(targets: Targets) -> None:
    unseen = RNG.random((3, 4))
    alone = attributes_for(targets, unseen[:1], TABLE)
    among = attributes_for(targets, np.vstack([unseen, TABLE]), TABLE)
    np.testing.assert_allclose(among[0], alone[0])


def test_cosine_scores_are_cosines() -> None:
    predicted = RNG.standard_normal((6, 4))
    cosines = score(predicted, TABLE, "cosine")
    expected = predicted[2] @ TABLE[3] / np.linalg.norm(predicted[2]) / np.linalg.norm(TABLE[3])
    assert cosines[2, 3] == pytest.approx(expected)
    assert score(predicted, TABLE, "dot")[2, 3] == pytest.approx(predicted[2] @ TABLE[3])


def test_whitened_attributes_of_the_seen_classes_are_uncorrelated_and_of_equal_variance() -> None:
    many = RNG.random((200, 4))
    found = attributes_for("whitened", many, many)
    covariance = np.cov(found.T)
    values = np.linalg.eigvalsh(np.cov(attributes_for("l2-centred", many, many).T))
    shrunk = values / (values + 0.1 * values[-1])  # the recipe's shrinkage
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance) / covariance.trace(), shrunk / shrunk.sum(), atol=1e-6)


def test_a_prediction_of_length_one_is_scored_by_its_dot_product() -> None:
    predicted = RNG.standard_normal((6, 4))
    found = score(predicted, TABLE, "unit-prediction")
    assert found[2, 3] == pytest.approx(predicted[2] @ TABLE[3] / np.linalg.norm(predicted[2]))


def test_scores_of_prototypes_are_cosines_of_images_and_prototypes() -> None:
    inputs = preparation_of("l2-centred", FEATURES)(FEATURES)
    seen, table = (attributes_for("centred", some, TABLE) for some in (TABLE, RNG.random((7, 4))))
    (mapping,) = maps("prototypes", inputs, ROWS, seen, ((0.1,),))
    found = score(*compared("prototypes", inputs, mapping, table, seen), "cosine")
    constant = np.sqrt((seen**2).sum(axis=1).mean())
    prototype = np.append(table[6], constant) @ mapping
    image = inputs[11, :-1]
    assert found[11, 6] == pytest.approx(image @ prototype / np.linalg.norm(image) / np.linalg.norm(prototype))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_fitted_alone_equals_that_of_the_grid(method: Method) -> None:
    inputs = preparation_of("standardised", FEATURES)(FEATURES)
    seen = attributes_for("whitened", TABLE, TABLE)
    grid = GRIDS[method]
    together = maps(method, inputs, ROWS, seen, grid, spectrum(inputs))
    assert len(together) == len(grid)
    tolerance = 1e-4 if method == "bilinear" else 1e-9  # trained in single precision
    for weights, mapping in list(zip(grid, together))[::5]:
        (single,) = maps(method, inputs, ROWS, seen, (weights,))
        np.testing.assert_allclose(single, mapping, rtol=tolerance, atol=tolerance * np.abs(mapping).max())


@pytest.mark.parametrize("scale", [1e-3, 50.0])
@pytest.mark.parametrize("method", METHODS)
def test_scaling_the_attributes_changes_no_cosine(method: Method, scale: float) -> None:
    inputs = preparation_of("l2-centred", FEATURES)(FEATURES)
    seen = attributes_for("centred", TABLE, TABLE)
    weights = GRIDS[method][5:6]

    def cosines(seen: np.ndarray) -> np.ndarray:
        (mapping,) = maps(method, inputs, ROWS, seen, weights)
        return score(*compared(method, inputs, mapping, seen, seen), "cosine")

    np.testing.assert_allclose(cosines(scale * seen), cosines(seen), atol=1e-4)


@pytest.mark.parametrize("targets", get_args(Targets))
@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_separable_classes(method: Method, targets: Targets) -> None:
    table = np.eye(5) + 0.1 * RNG.random((5, 5))
    rows = np.repeat(np.arange(5), 20)
    features = table[rows] @ RNG.standard_normal((5, 12)) + 0.01 * RNG.standard_normal((100, 12))
    weights = {"eszsl": (0.01, 0.01), "bilinear": (3.0, 15.0)}.get(method, (0.01,))
    inputs = preparation_of("standardised", features)(features)
    seen = attributes_for(targets, table, table)
    (mapping,) = maps(method, inputs, rows, seen, (weights,))
    scores = score(*compared(method, inputs, mapping, seen, seen), "cosine")
    assert (scores.argmax(axis=1) == rows).mean() > 0.95
