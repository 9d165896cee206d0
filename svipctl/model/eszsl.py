"""Fit ESZSL, "an embarrassingly simple approach to zero-shot learning" (Romera-Paredes & Torr, ICML 2015), closed
form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from svipctl.model.ridge import Floats, Integers, Spectrum, spectrum


def eszsl(
    features: Floats,
    rows: Integers,
    class_attributes: Floats,
    weights: Sequence[tuple[float, float]],
    of_features: Spectrum | None = None,
) -> list[Floats]:
    """Return the bilinear maps V that minimize |X V S' - Y|^2 + g |V S'|^2 + l |X V|^2 + g l |V|^2 (their equation 3).

    V = (X'X + g I)^-1 X' Y S (S'S + l I)^-1, with Y = 1 where an image is of a class and -1 elsewhere.

    Args:
        features: (N, d) X.
        rows: (N,) class of each image, a row of `class_attributes`.
        class_attributes: (C, K) S, attributes of the seen classes.
        weights: Pairs (g, l), each greater than 0.
        of_features: Spectrum of X, if it is known.

    Returns:
        V (d, K) for each pair; the score of a class with attributes s is x V s, so X V are predicted attributes.

    """
    classes = len(class_attributes)
    answers = np.where(rows[:, None] == np.arange(classes), 1.0, -1.0)
    feature_values, feature_vectors = of_features or spectrum(features)
    attribute_values, attribute_vectors = spectrum(class_attributes)
    middle = feature_vectors.T @ (features.T @ answers) @ class_attributes @ attribute_vectors
    return [
        feature_vectors
        @ (middle / ((feature_values + feature_weight)[:, None] * (attribute_values + attribute_weight)))
        @ attribute_vectors.T
        for feature_weight, attribute_weight in weights
    ]
