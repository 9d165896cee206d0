"""A linear map from mean patch tokens to attributes, found in closed form, that predicts beside the attribute head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svipctl.model.eszsl import eszsl
from svipctl.model.recipe import Recipe
from svipctl.model.ridge import mean_eigenvalue, prototypes, ridge


class ClosedForm(nn.Module):
    """The map; predictions do not change before it is fitted.

    Attributes:
        matrix: (D + 1, K); the last row is the intercept.

    """

    matrix: Tensor

    def __init__(self, width: int, attributes: int, recipe: Recipe) -> None:
        """Make a map that predicts nothing, until `fit` is called."""
        super().__init__()
        self.recipe = recipe
        self.register_buffer("matrix", torch.zeros(width + 1, attributes))

    @torch.no_grad()
    def fit(self, tokens: Tensor, labels: Tensor, classes: Tensor) -> None:
        """Fit the map to the training images.

        Args:
            tokens: (N, D) mean patch tokens.
            labels: (N,) rows of `classes`.
            classes: (S, K) what predictions are compared with, of the seen classes.

        """
        inputs, targets = self._inputs(tokens.double()).cpu().numpy(), classes.double().cpu().numpy()
        rows = labels.cpu().numpy()
        of_tokens, of_classes = mean_eigenvalue(inputs), mean_eigenvalue(targets)
        for_tokens, for_classes = self.recipe.fusion_penalties
        if self.recipe.fusion == "eszsl":
            (found,) = eszsl(inputs, rows, targets, [(for_tokens * of_tokens, for_classes * of_classes)])
        elif self.recipe.fusion == "ridge":
            (found,) = ridge(inputs, targets[rows], [for_tokens * of_tokens])
        else:
            (of_attributes,) = prototypes(inputs, rows, targets, [for_classes * of_classes])
            found = of_attributes.T
        self.matrix.copy_(torch.from_numpy(found))

    def forward(self, attributes: Tensor, tokens: Tensor) -> Tensor:
        """Return attributes (B, K) of the head, of length 1, plus those of the map, of length `fusion_weight`.

        Args:
            attributes: (B, K) of the head.
            tokens: (B, D) mean patch tokens.

        """
        found = self._inputs(tokens) @ self.matrix.to(tokens.dtype)
        return F.normalize(attributes, dim=-1) + self.recipe.fusion_weight * F.normalize(found, dim=-1)

    def _inputs(self, tokens: Tensor) -> Tensor:
        """(N, D) -> (N, D + 1): signed square roots, so that no channel outweighs the others, as rows of length 1; and 1."""
        return F.pad(F.normalize(tokens.sign() * tokens.abs().sqrt(), dim=-1), (0, 1), value=1.0)
