"""Fit ridge regression between features and class attributes, in both directions, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ROUNDING = 1e-14


class Spectrum(NamedTuple):
    """Eigenvalues (r,) and eigenvectors (d, r) of X'X for a table X (N, d) of rank r."""

    values: Floats
    vectors: Floats


def spectrum(table: Floats) -> Spectrum:
    """Decompose X'X, without directions whose variance is only rounding."""
    values, vectors = eigh(table.T @ table, driver="evd")
    varying = values > _ROUNDING * values[-1]
    return Spectrum(values[varying], vectors[:, varying])


def mean_eigenvalue(table: Floats) -> float:
    """Return the mean eigenvalue of X'X, to which penalties are relative, so that one grid suits every preparation."""
    return float((table**2).sum() / table.shape[1])


def ridge(
    features: Floats, targets: Floats, weights: Sequence[float], of_features: Spectrum | None = None
) -> list[Floats]:
    """Return the maps that minimize |X W - A|^2 + w |W|^2 for each w, from one eigendecomposition.

    W = (X'X + w I)^-1 X'A (Hoerl & Kennard, Technometrics 1970; as attribute regression Akata et al., TPAMI 2016,
    call the related method ALE). It has no intercept: centre features, or add a constant column.

    Args:
        features: (N, d) X.
        targets: (N, K) A, the attributes of each image's class.
        weights: Penalties, each greater than 0.
        of_features: Spectrum of X, if it is known.

    Returns:
        W (d, K) for each weight; predicted attributes are X W.

    """
    values, vectors = of_features or spectrum(features)
    projected = vectors.T @ (features.T @ targets)
    return [vectors @ (projected / (values + weight)[:, None]) for weight in weights]


def prototypes(features: Floats, rows: Integers, class_attributes: Floats, weights: Sequence[float]) -> list[Floats]:
    """Return ridge regressions from the attributes of a class to its prototype, the mean feature of its images.

    Every class has the same weight, regardless of its number of images. From attributes to features, nearest
    neighbours have fewer hubs (Shigeto et al., ECML PKDD 2015); class means as targets are those of EXEM (Changpinyo
    et al., ICCV 2017).

    Args:
        features: (N, d).
        rows: (N,) class of each image, a row of `class_attributes`; every class has an image.
        class_attributes: (C, K), attributes of the seen classes.
        weights: Penalties, each greater than 0.

    Returns:
        (K, d) for each weight; the prototypes of classes with attributes A are A @ it.

    """
    means = np.stack([features[rows == row].mean(axis=0) for row in range(len(class_attributes))])
    return ridge(class_attributes, means, weights)
