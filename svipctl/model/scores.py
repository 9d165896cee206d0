"""Compute class scores: the only function from predicted attributes to the similarity with each class."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

ClassScore = Literal["cosine", "dot"]


def normalise_class_attributes(class_attributes: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return the rows (C, K) divided by their L2 norm + epsilon. A zero row stays zero."""
    norms: Tensor = class_attributes.norm(dim=-1, keepdim=True) + epsilon
    return class_attributes / norms.masked_fill(norms == 0, 1)


def class_scores(predicted: Tensor, class_attributes: Tensor, kind: ClassScore) -> Tensor:
    """Return the similarity of each prediction to each class: (B, K), (C, K) -> (B, C).

    Training, evaluation, prediction, export and baselines all score with this function (method section 2, step 8).

    Args:
        predicted: Predicted attribute vectors.
        class_attributes: Rows normalized by `normalise_class_attributes`, or unnormalized for an unnormalized product.
        kind: `cosine` normalizes the predictions too; `dot` (published) does not.

    """
    predicted = predicted.to(class_attributes.dtype)  # full precision, whatever the network computed in
    if kind == "cosine":
        predicted = F.normalize(predicted, dim=-1)
    return predicted @ class_attributes.T
