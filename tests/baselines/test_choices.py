"""How features and attributes are prepared, and that grids and single fits agree."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from svipctl.baselines.choices import (
    METHODS,
    Choice,
    Method,
    Preparation,
    Prepared,
    Targets,
    attributes_for,
    candidates,
    fit,
    score,
)

RNG = np.random.default_rng(0)
FEATURES = RNG.random((30, 6)) + 2
ROWS = np.arange(30) % 5
TABLE = RNG.random((5, 4))


def test_preparations_do_what_they_are_called() -> None:
    lengths = np.linalg.norm(Prepared.by("l2", FEATURES)(FEATURES)[:, :-1], axis=1)
    np.testing.assert_allclose(lengths, 1)
    standardised = Prepared.by("standardised", FEATURES)(FEATURES)[:, :-1]
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.std(axis=0), 1)
    np.testing.assert_array_equal(Prepared.by("plain", FEATURES)(FEATURES)[:, :-1], FEATURES)


@pytest.mark.parametrize("preparation", get_args(Preparation))
def test_an_image_is_prepared_by_the_training_images_alone(preparation: Preparation) -> None:
    prepared = Prepared.by(preparation, FEATURES)
    others = RNG.random((7, 6)) * 100
    together = prepared(np.vstack([FEATURES[:1], others]))
    np.testing.assert_array_equal(together[0], prepared(FEATURES[:1])[0])


def test_a_feature_that_never_changes_does_not_divide_by_zero() -> None:
    constant = np.ones((4, 2))
    assert np.isfinite(Prepared.by("standardised", constant)(constant)).all()


@pytest.mark.parametrize("targets", get_args(Targets))
def test_attributes_of_a_class_depend_on_no_other_unseen_class(targets: Targets) -> None:
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


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_a_choice_is_the_one_of_the_grid(method: Method) -> None:
    seen = set()
    for preparation, targets, weights, prepared, mapping in candidates(method, FEATURES, ROWS, TABLE):
        seen.add((preparation, targets, weights))
        if len(seen) % 37 == 1:
            again, single = fit(method, Choice(preparation, targets, weights, "dot"), FEATURES, ROWS, TABLE)
            np.testing.assert_allclose(single, mapping, rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(again(FEATURES), prepared(FEATURES))
    assert len(seen) >= len(get_args(Preparation)) * len(get_args(Targets)) * 10


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_what_is_there_to_learn(method: Method) -> None:
    table = np.eye(5) + 0.1 * RNG.random((5, 5))
    rows = np.repeat(np.arange(5), 20)
    features = table[rows] @ RNG.standard_normal((5, 12)) + 0.01 * RNG.standard_normal((100, 12))
    weights = (0.01, 0.01) if method == "eszsl" else (0.01,)
    prepared, mapping = fit(method, Choice("standardised", "centred", weights, "cosine"), features, rows, table)
    scores = score(prepared(features) @ mapping, attributes_for("centred", table, table), "cosine")
    assert (scores.argmax(axis=1) == rows).mean() > 0.95
