"""Compute class scores in the space that the recipe chooses: plain, centred or whitened class attributes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svipctl.model.recipe import Recipe
from svipctl.model.scores import class_scores, normalise_class_attributes

_LEAST = 1e-6
"""Lengths and eigenvalues below this are rounding errors: the seen classes do not differ."""


class ClassScorer(nn.Module):
    """Compares predicted attributes with class attributes, in a space fitted to the seen classes only.

    `method.class_attributes = l2` divides each class's row by its length (method section 2, step 8). CUB's rows then
    have a mean cosine of 0.8, so that classes hardly differ: `centred` subtracts the mean row of the seen classes,
    and `whitened` also multiplies with the inverse square root of their covariance, the symmetric one, so that column
    k still is attribute k. Rows keep their different lengths; a seen class has length 1 on average.

    Attributes:
        mean: (K,) mean of the seen classes' rows of length 1.
        matrix: (K, K) factor of the centred rows.
        lengths: (K + 1, K + 1) with `method.prototype_weight`: half of this quadratic form of a class's row, and 1, is
            subtracted from the class score, because long prototypes would be close to every image.

    """

    mean: Tensor
    matrix: Tensor
    lengths: Tensor

    def __init__(self, attributes: int, recipe: Recipe) -> None:
        """Create a scorer of K attributes; unless `recipe.class_attributes` is `l2`, call `fit` before using it."""
        super().__init__()
        self.recipe = recipe
        if recipe.class_attributes != "l2":
            self.register_buffer("mean", torch.zeros(attributes))
            self.register_buffer("matrix", torch.eye(attributes))
        if recipe.prototype_weight:
            self.register_buffer("lengths", torch.zeros(attributes + 1, attributes + 1))

    @torch.no_grad()
    def fit(self, seen: Tensor) -> None:
        """Fit the space to the attributes of the seen classes, (S, K) as in the data set."""
        kind = self.recipe.class_attributes
        if kind == "l2":
            return
        rows = normalise_class_attributes(seen.double().cpu(), self.recipe.class_norm_epsilon)
        mean = rows.mean(dim=0)
        rows = rows - mean
        matrix = torch.eye(rows.shape[1], dtype=torch.float64)
        if kind == "whitened":
            values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
            added = self.recipe.whitening_shrinkage * values[-1].clamp_min(_LEAST)
            matrix = vectors * (values.clamp_min(0) + added).rsqrt() @ vectors.T
        length = (rows @ matrix).norm(dim=-1).mean()
        self.mean.copy_(mean)
        self.matrix.copy_(matrix / length if length > _LEAST else matrix)

    def table(self, class_attributes: Tensor) -> Tensor:
        """Return the rows (C, K) to compare predictions with, from class attributes (C, K) as in the data set."""
        rows = normalise_class_attributes(class_attributes, self.recipe.class_norm_epsilon)
        if self.recipe.class_attributes == "l2":
            return rows
        return (rows - self.mean.to(rows)) @ self.matrix.to(rows)

    def forward(self, predicted: Tensor, class_attributes: Tensor) -> Tensor:
        """Return class scores (B, C) of predictions (B, K) for class attributes (C, K) as in the data set."""
        return self.compare(predicted, self.table(class_attributes))

    def compare(self, predicted: Tensor, table: Tensor) -> Tensor:
        """Return class scores (B, C) of predictions (B, K) for rows (C, K) of `table`."""
        scores = class_scores(predicted, table, self.recipe.class_score)
        if not self.recipe.prototype_weight:
            return scores
        rows = F.pad(table, (0, 1), value=1.0)
        lost = ((rows @ self.lengths.to(rows)) * rows).sum(dim=-1) / 2
        if self.recipe.class_score == "cosine":
            lost = lost / predicted.to(rows).norm(dim=-1, keepdim=True).clamp_min(_LEAST)
        return scores.sub(lost)
