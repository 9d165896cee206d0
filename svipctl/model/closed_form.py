"""Predict attributes from the mean patch token by closed forms, in addition to the attribute head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svipctl.model.eszsl import eszsl
from svipctl.model.recipe import Recipe
from svipctl.model.ridge import Floats, Integers, mean_eigenvalue, prototypes, ridge


class ClosedForm(nn.Module):
    """Linear maps in both directions: from tokens to attributes, and from class attributes to tokens (prototypes).

    An image's cosine to the prototype of a class is linear in the class's attributes, except for the length of the
    prototype. So prototypes predict attributes too, and their lengths become a term of each class score that does not
    depend on the image (`svipctl.model.class_scorer`).

    Attributes:
        matrix: (D + 1, K), of `method.fusion`; the last row is the intercept.
        prototypes: (K + 1, D): the prototype of a class is its attributes, and 1, times this.

    """

    matrix: Tensor
    prototypes: Tensor

    def __init__(self, width: int, attributes: int, recipe: Recipe) -> None:
        """Create maps that predict nothing until `fit` is called."""
        super().__init__()
        self.recipe = recipe
        if recipe.fusion != "none":
            self.register_buffer("matrix", torch.zeros(width + 1, attributes))
        if recipe.prototype_weight:
            self.register_buffer("prototypes", torch.zeros(attributes + 1, width))

    @torch.no_grad()
    def fit(self, tokens: Tensor, labels: Tensor, classes: Tensor) -> Tensor | None:
        """Fit the maps to the training images.

        Args:
            tokens: (N, D) mean patch tokens.
            labels: (N,) rows of `classes`.
            classes: (S, K) rows of the seen classes that predictions are compared with.

        Returns:
            With prototypes, the quadratic form (K + 1, K + 1) for `ClassScorer.lengths`.

        """
        inputs, table = _roots(tokens.double()).cpu().numpy(), classes.double().cpu().numpy()
        rows = labels.cpu().numpy()
        if self.recipe.fusion != "none":
            with_intercept = F.pad(torch.from_numpy(inputs), (0, 1), value=1.0).numpy()
            self.matrix.copy_(torch.from_numpy(self._map(with_intercept, rows, table)))
        if not self.recipe.prototype_weight:
            return None
        extended = F.pad(torch.from_numpy(table), (0, 1), value=1.0).numpy()
        (found,) = prototypes(inputs, rows, extended, [self.recipe.prototype_penalty * mean_eigenvalue(extended)])
        self.prototypes.copy_(torch.from_numpy(found))
        return self._lengths(torch.from_numpy(inputs), torch.from_numpy(extended), torch.from_numpy(found))

    def forward(self, attributes: Tensor, tokens: Tensor) -> Tensor:
        """Return attributes (B, K) of the head, of length 1, plus those of each map, of the length of its weight.

        Args:
            attributes: (B, K) attributes of the head.
            tokens: (B, D) mean patch tokens.

        """
        inputs, found = _roots(tokens), F.normalize(attributes, dim=-1)
        if self.recipe.fusion != "none":
            mapped = F.pad(inputs, (0, 1), value=1.0) @ self.matrix.to(tokens.dtype)
            found = found + self.recipe.fusion_weight * F.normalize(mapped, dim=-1)
        if self.recipe.prototype_weight:
            similar = inputs @ self.prototypes[:-1].T.to(tokens.dtype)
            found = found + self.recipe.prototype_weight * F.normalize(similar, dim=-1)
        return found

    def _map(self, inputs: Floats, rows: Integers, table: Floats) -> Floats:
        for_tokens, for_classes = self.recipe.fusion_penalties
        penalty = for_tokens * mean_eigenvalue(inputs)
        if self.recipe.fusion == "eszsl":
            return eszsl(inputs, rows, table, [(penalty, for_classes * mean_eigenvalue(table))])[0]
        return ridge(inputs, table[rows], [penalty])[0]

    def _lengths(self, inputs: Tensor, extended: Tensor, found: Tensor) -> Tensor:
        """Return the quadratic form of the term that is subtracted for the length of a prototype.

        The cosine of image f and prototype p is (f'm + f'W a) / |p|, where m is the intercept. To first order in the
        length of p, and relative to f'W a as `forward` scales it, a class loses f'm / (r |f'W|) times half of
        (|p|^2 / r^2 - 1), where r^2 is the mean of |p|^2 over the seen classes; the first factor is taken as its mean
        over the training images.
        """
        gram = found @ found.T
        square = torch.einsum("ck,kl,cl->c", extended, gram, extended).mean()
        share = (inputs @ found[-1] / (inputs @ found[:-1].T).norm(dim=-1)).mean() / square.sqrt()
        form: Tensor = gram / square
        form[-1, -1] -= 1
        return form.mul_(share * self.recipe.prototype_weight)


def _roots(tokens: Tensor) -> Tensor:
    """Return tokens (N, D) as signed square roots, rows of length 1, so that no channel outweighs the others."""
    return F.normalize(tokens.sign() * tokens.abs().sqrt(), dim=-1)
