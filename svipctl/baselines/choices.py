"""What validation chooses for a baseline: how features and attributes are prepared, the weights, and the score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch

from svipctl.baselines.sae import sae
from svipctl.evaluation.calibration import Integers, unit_rows
from svipctl.model.eszsl import eszsl
from svipctl.model.ridge import Floats, ridge
from svipctl.model.scores import ClassScore, class_scores, normalise_class_attributes

Method = Literal["ridge", "eszsl", "sae"]
Preparation = Literal["plain", "l2", "standardised"]
Targets = Literal["plain", "l2", "centred", "l2-centred", "standardised"]
METHODS: tuple[Method, ...] = get_args(Method)

# Weights are relative to the mean eigenvalue of what they are added to, so that one grid suits every preparation.
_RIDGE = tuple(float(10**power) for power in np.arange(-4, 2.01, 0.5))
_ESZSL = tuple(product((1e-2, 1e-1, 1.0, 10.0, 100.0), (1e-3, 1e-2, 1e-1, 1.0, 10.0)))
_SAE = tuple(float(10**power) for power in np.arange(-3, 3.01, 0.5))


@dataclass(frozen=True)
class Choice:
    """One set of hyper-parameters."""

    features: Preparation
    """`l2`: rows of length 1. `standardised`: each feature with mean 0 and deviation 1 over the training images."""
    targets: Targets
    """Class attributes as the benchmark has them, or rows of length 1; either also minus the mean of the seen classes,
    without which the cosines of classes lie close together; or each attribute with mean 0 and deviation 1 over the seen
    classes. Predictions are scored against the same."""
    weights: tuple[float, ...]
    """Relative; ridge and SAE have one, ESZSL two (features, attributes)."""
    score: ClassScore
    """Of a prediction and a class's attributes."""


@dataclass(frozen=True)
class Prepared:
    """From raw features to what the map is applied to, fixed by the training images."""

    mean: Floats
    deviation: Floats
    unit_length: bool
    constant: float

    @classmethod
    def by(cls, preparation: Preparation, training: Floats) -> Prepared:
        """The preparation (N, d) training features ask for."""
        width = training.shape[1]
        mean, deviation = np.zeros(width), np.ones(width)
        if preparation == "standardised":
            mean, deviation = training.mean(axis=0), training.std(axis=0)
            deviation = np.where(deviation > 0, deviation, 1)
        unfinished = cls(mean, deviation, preparation == "l2", 0.0)
        squares = (unfinished(training) ** 2).sum(axis=1)
        return cls(mean, deviation, preparation == "l2", float(np.sqrt(squares.mean())) or 1.0)

    def __call__(self, features: Floats) -> Floats:
        """(n, d) -> (n, d + 1): the last column is a constant as large as a mean row is long, an intercept."""
        prepared = (features - self.mean) / self.deviation
        if self.unit_length:
            prepared = unit_rows(prepared)
        return np.column_stack([prepared, np.full(len(prepared), self.constant)])


def attributes_for(targets: Targets, class_attributes: Floats, seen: Floats) -> Floats:
    """Class attributes as targets and as what is scored against.

    Args:
        targets: How.
        class_attributes: (C, K), as the benchmark has them.
        seen: (S, K), those of the classes that are trained on: nothing depends on any other class.

    """
    if targets in ("l2", "l2-centred"):
        class_attributes, seen = unit_rows(class_attributes), unit_rows(seen)
    if targets in ("plain", "l2"):
        return class_attributes
    centred: Floats = class_attributes - seen.mean(axis=0)
    if targets == "standardised":
        deviation = seen.std(axis=0)
        centred = centred / np.where(deviation > 0, deviation, 1)
    return centred


def score(predicted: Floats, class_attributes: Floats, kind: ClassScore) -> Floats:
    """Return class scores: (N, K), (C, K) -> (N, C)."""
    table = torch.from_numpy(class_attributes)
    if kind == "cosine":
        table = normalise_class_attributes(table)
    return class_scores(torch.from_numpy(predicted), table, kind).numpy()


def candidates(
    method: Method, features: Floats, rows: Integers, class_attributes: Floats
) -> Iterator[tuple[Preparation, Targets, tuple[float, ...], Prepared, Floats]]:
    """Every map that a method's grid gives on these training images.

    Args:
        method: Which baseline.
        features: (N, d), raw.
        rows: (N,) rows of `class_attributes`.
        class_attributes: (C, K) of the seen classes, as the benchmark has them.

    Yields:
        Preparation, targets, weights, the preparation fixed by these images, and the map (d + 1, K).

    """
    for preparation in get_args(Preparation):
        prepared = Prepared.by(preparation, features)
        inputs = prepared(features)
        for targets in get_args(Targets):
            table = attributes_for(targets, class_attributes, class_attributes)
            grid = _grid(method)
            for weights, found in zip(grid, _maps(method, inputs, rows, table, grid)):
                yield preparation, targets, weights, prepared, found


def fit(
    method: Method, choice: Choice, features: Floats, rows: Integers, class_attributes: Floats
) -> tuple[Prepared, Floats]:
    """The map of one choice; arguments as in `candidates`."""
    prepared = Prepared.by(choice.features, features)
    table = attributes_for(choice.targets, class_attributes, class_attributes)
    (found,) = _maps(method, prepared(features), rows, table, [choice.weights])
    return prepared, found


def _grid(method: Method) -> list[tuple[float, ...]]:
    if method == "eszsl":
        return [*_ESZSL]
    return [(weight,) for weight in (_RIDGE if method == "ridge" else _SAE)]


def _maps(method: Method, inputs: Floats, rows: Integers, table: Floats, grid: list[tuple[float, ...]]) -> list[Floats]:
    of_features = float((inputs**2).sum()) / inputs.shape[1]
    if method == "ridge":
        return ridge(inputs, table[rows], [weight * of_features for (weight,) in grid])
    if method == "eszsl":
        of_attributes = float((table**2).sum()) / table.shape[1]
        pairs = [(features * of_features, attributes * of_attributes) for features, attributes in grid]
        return eszsl(inputs, rows, table, pairs)
    # Both sides of the autoencoder weigh the same at 1.
    balance = float((table[rows] ** 2).sum()) / float((inputs**2).sum())
    return sae(inputs, table[rows], [weight * balance for (weight,) in grid])
