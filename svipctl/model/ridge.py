"""Ridge regression from features to class attributes, closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def ridge(features: Floats, targets: Floats, weights: Sequence[float]) -> list[Floats]:
    """Maps that minimise |X W - A|^2 + w |W|^2 for each w, from one eigendecomposition.

    W = (X'X + w I)^-1 X'A (Hoerl & Kennard, Technometrics 1970; as attribute regression Akata et al., TPAMI 2016,
    call its kin ALE). There is no intercept: centre features, or let them have a constant column.

    Args:
        features: (N, d) X.
        targets: (N, K) A, the attributes of each image's class.
        weights: Each greater than 0.

    Returns:
        W (d, K) for each weight; predicted attributes are X W.

    """
    values, vectors = eigh(features.T @ features, driver="evd")
    values = np.maximum(values, 0)  # rounding; X'X has no negative ones
    projected = vectors.T @ (features.T @ targets)
    return [vectors @ (projected / (values + weight)[:, None]) for weight in weights]
