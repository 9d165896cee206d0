"""Define the choices of a baseline: preparation of features and attributes, weights, and score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch

from svipctl.baselines.bilinear import bilinear, mean_length
from svipctl.baselines.sae import sae
from svipctl.evaluation.calibration import Integers, unit_rows
from svipctl.model.class_scorer import ClassScorer
from svipctl.model.eszsl import eszsl
from svipctl.model.recipe import Recipe
from svipctl.model.ridge import Floats, Spectrum, mean_eigenvalue, prototypes, ridge, spectrum
from svipctl.model.scores import class_scores, normalise_class_attributes

Method = Literal["ridge", "eszsl", "sae", "prototypes", "bilinear"]
Preparation = Literal["plain", "l2", "root-l2", "l2-centred", "standardised"]
Targets = Literal["plain", "l2", "centred", "l2-centred", "whitened", "standardised"]
Score = Literal["cosine", "unit-prediction", "dot"]
METHODS: tuple[Method, ...] = get_args(Method)


def _powers(first: int, last: int) -> tuple[tuple[float], ...]:
    return tuple((float(10**power),) for power in np.arange(first, last + 0.01, 0.5))


GRIDS: dict[Method, tuple[tuple[float, ...], ...]] = {
    "ridge": _powers(-4, 2),
    "eszsl": tuple(product((1e-2, 1e-1, 1.0, 10.0, 100.0), (1e-3, 1e-2, 1e-1, 1.0, 10.0))),
    "sae": _powers(-3, 3),
    "prototypes": _powers(-4, 2),
    "bilinear": tuple(product((3.0, 10.0, 30.0), (3, 10, 20))),
}
"""Candidate weights, in the form of `Choice.weights`."""

_SCORED: dict[Targets, Literal["l2", "centred", "whitened"]] = {
    "l2": "l2",
    "l2-centred": "centred",
    "whitened": "whitened",
}
"""Targets that the method also has -> their name in `method.class_attributes`."""


@dataclass(frozen=True)
class Choice:
    """One set of hyper-parameters."""

    features: Preparation
    """`l2`: rows of length 1; `root-l2`: signed square roots first, so that no channel outweighs the others;
    `l2-centred`: rows of length 1 minus the mean of the training images. `standardised`: each feature with mean 0 and
    deviation 1 over the training images.
    """
    targets: Targets
    """Class attributes unchanged, or rows of length 1; either also minus the mean of the seen classes,
    without which the cosines of classes are close together; `whitened`: rows of length 1, centred, and whitened by the
    covariance of the seen classes (`svipctl.model.class_scorer`); or each attribute with mean 0 and deviation 1 over
    the seen classes. Predictions are scored against the same.
    """
    weights: tuple[float, ...]
    """Penalties relative to the mean eigenvalue of what they are added to, so that one grid suits every preparation:
    ridge, SAE and prototypes have one, ESZSL two (features, attributes). For bilinear: learning rate and epochs."""
    score: Score
    """Similarity of a prediction and a class's attributes: cosine, dot product, or the dot product with predictions of
    length 1, which is how the method scores. For prototypes: cosine of an image's feature and a class's prototype."""


Space = tuple[Sequence[Preparation], Sequence[Targets], Sequence[tuple[float, ...]], Sequence[Score]]
"""Candidates of each field of `Choice`."""


def every_choice(method: Method) -> Space:
    """Return the candidates of a method."""
    scores = ("cosine",) if method == "prototypes" else get_args(Score)
    return get_args(Preparation), get_args(Targets), GRIDS[method], scores


def preparation_of(preparation: Preparation, training: Floats) -> Callable[[Floats], Floats]:
    """Return the function that prepares raw features for the map, fitted to those of the training images (N, d).

    It returns features (n, d) as (n, d + 1): the last column is a constant of the length of a mean row, an intercept.
    """
    rows = _scaled(preparation, training)
    mean, deviation = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    if preparation in ("l2-centred", "standardised"):
        mean = rows.mean(axis=0)
    if preparation == "standardised":
        deviation = _deviation(rows)
    constant = mean_length((rows - mean) / deviation)

    def prepared(features: Floats) -> Floats:
        rows = _scaled(preparation, features)
        return np.column_stack([(rows - mean) / deviation, np.full(len(rows), constant)])

    return prepared


def _scaled(preparation: Preparation, features: Floats) -> Floats:
    """Return each row scaled independently of other images."""
    if preparation == "root-l2":
        features = np.sign(features) * np.sqrt(np.abs(features))
    return features if preparation in ("plain", "standardised") else unit_rows(features)


def _deviation(rows: Floats) -> Floats:
    """Return the standard deviation of each column, 1 for a constant one."""
    deviation: Floats = rows.std(axis=0)
    return np.where(deviation > 0, deviation, 1)


def attributes_for(targets: Targets, class_attributes: Floats, seen: Floats) -> Floats:
    """Return class attributes as targets, and as the rows that predictions are scored against.

    Args:
        targets: Preparation of the class attributes.
        class_attributes: (C, K), as in the data set.
        seen: (S, K), those of the seen classes: nothing depends on any other class.

    """
    if targets in _SCORED:
        scorer = ClassScorer(seen.shape[1], Recipe(class_attributes=_SCORED[targets])).double()
        scorer.fit(torch.from_numpy(seen))
        return scorer.table(torch.from_numpy(class_attributes)).numpy()
    if targets == "plain":
        return class_attributes
    centred: Floats = class_attributes - seen.mean(axis=0)
    return centred / _deviation(seen) if targets == "standardised" else centred


def maps(
    method: Method,
    inputs: Floats,
    rows: Integers,
    seen: Floats,
    weights: Sequence[tuple[float, ...]],
    of_inputs: Spectrum | None = None,
) -> list[Floats]:
    """Return the map that each of `weights` gives on training images.

    Args:
        method: Name of the baseline.
        inputs: (N, d + 1), prepared.
        rows: (N,) rows of `seen`.
        seen: (S, K) attributes of the seen classes, as targets.
        weights: As in `Choice`.
        of_inputs: Spectrum of the inputs, if it is known.

    Returns:
        (d + 1, K) each; for prototypes (K + 1, d), for class attributes with an intercept.

    """
    if method == "bilinear":
        return bilinear(inputs, rows, seen, [(rate, int(epochs)) for rate, epochs in weights])
    if method == "prototypes":
        table = _with_intercept(seen, seen)
        return prototypes(inputs[:, :-1], rows, table, [weight * mean_eigenvalue(table) for (weight,) in weights])
    of_inputs, unit = of_inputs or spectrum(inputs), mean_eigenvalue(inputs)
    if method == "ridge":
        return ridge(inputs, seen[rows], [weight * unit for (weight,) in weights], of_inputs)
    if method == "eszsl":
        pairs = [(features * unit, attributes * mean_eigenvalue(seen)) for features, attributes in weights]
        return eszsl(inputs, rows, seen, pairs, of_inputs)
    # Both sides of the autoencoder have the same weight at 1.
    balance = float((seen[rows] ** 2).sum()) / float((inputs**2).sum())
    return sae(inputs, seen[rows], [weight * balance for (weight,) in weights], of_inputs)


def compared(method: Method, inputs: Floats, mapping: Floats, table: Floats, seen: Floats) -> tuple[Floats, Floats]:
    """Apply a map to images or to classes.

    Args:
        method: Name of the baseline.
        inputs: (n, d + 1), prepared.
        mapping: A map of `maps`.
        table: (C, K) class attributes, as targets.
        seen: (S, K) those of the seen classes.

    Returns:
        Rows of images (n, k) and of classes (C, k) for the comparison: in the space of attributes, k = K, or of
        features.

    """
    if method == "prototypes":
        return inputs[:, :-1], _with_intercept(table, seen) @ mapping
    return inputs @ mapping, table


def score(predicted: Floats, classes: Floats, kind: Score) -> Floats:
    """Return class scores: (N, k), (C, k) -> (N, C)."""
    table = torch.from_numpy(classes)
    if kind == "cosine":
        table = normalise_class_attributes(table)
    return class_scores(torch.from_numpy(predicted), table, "dot" if kind == "dot" else "cosine").numpy()


def _with_intercept(table: Floats, seen: Floats) -> Floats:
    return preparation_of("plain", seen)(table)
