"""Fit SAE, the semantic autoencoder (Kodirov, Xiang & Gong, CVPR 2017), by solving its Sylvester equation exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from svipctl.model.ridge import Floats, Spectrum, spectrum

_RANK = 1e-10


def sae(
    features: Floats, targets: Floats, weights: Sequence[float], of_features: Spectrum | None = None
) -> list[Floats]:
    """Return the encoders W that minimize |X' - W'S'|^2 + w |W X' - S'|^2 for each w (their equation 4).

    W solves S'S W + W (w X'X) = (1 + w) S'X (their equation 6). Both S'S and X'X are symmetric, so in their eigenbases
    the equation separates into one division per entry; `scipy.linalg.solve_sylvester` gives the same (tested), but
    needs a Schur decomposition of both for each weight and fails if both are singular. There, with fewer
    images than features, this is the solution of least norm.

    Args:
        features: (N, d) X.
        targets: (N, K) S, the attributes of each image's class.
        weights: Weights w, each greater than 0.
        of_features: Spectrum of X, if it is known.

    Returns:
        W' (d, K) for each weight; predicted attributes are X W'.

    """
    feature_values, feature_vectors = of_features or spectrum(features)
    target_values, target_vectors = spectrum(targets)
    middle = feature_vectors.T @ (features.T @ targets) @ target_vectors
    found = []
    for weight in weights:
        sums = weight * feature_values[:, None] + target_values
        regular = sums > _RANK * sums.max()
        solved = np.divide((1 + weight) * middle, sums, out=np.zeros_like(middle), where=regular)
        found.append(feature_vectors @ solved @ target_vectors.T)
    return found
