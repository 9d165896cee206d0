"""From predicted attributes to named classes, with the attributes that speak for and against each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from svipctl.errors import CheckFailed
from svipctl.model.scores import class_scores, normalise_class_attributes
from svipctl.model.recipe import Recipe
from svipctl.inference.class_table import Candidates


@dataclass(frozen=True)
class Reason:
    """How much an attribute lifts a class above the mean of the other candidates, in units of the class score.

    The sum over all attributes is the class's score minus that mean, before gamma.
    """

    attribute: str
    weight: float
    lacking: bool
    """Whether the class has less of it than the others: what counts, for or against, is then that it be missing."""


@dataclass(frozen=True)
class Answer:
    """One class proposed for an image."""

    name: str
    score: float
    """Cosine (or dot product, as the recipe says), minus gamma for a class that was trained."""
    speaks_for: tuple[Reason, ...]
    """Attributes that lift the class most, greatest first."""
    speaks_against: tuple[Reason, ...]
    """Attributes that lower it most, worst first."""


@dataclass(frozen=True)
class Answering:
    """The classes to choose from, and how a recipe scores them."""

    attributes: Sequence[str]
    candidates: Candidates
    gamma: float
    recipe: Recipe
    top: int = 5
    reasons: int = 3
    """Attributes named for and against each answer, at most."""

    def answers(self, predicted: Tensor) -> list[tuple[Answer, ...]]:
        """The `top` best classes of each image, best first.

        Args:
            predicted: (B, K) attributes in float64.

        Raises:
            CheckFailed: They are not finite.

        """
        if not torch.isfinite(predicted).all():
            raise CheckFailed(
                "the model predicts attributes that are not finite numbers",
                why="its training diverged, or half precision overflowed",
                todo="try --precision fp32, or use another run",
            )
        table = normalise_class_attributes(
            torch.from_numpy(self.candidates.class_attributes), self.recipe.class_norm_epsilon
        )
        scores = class_scores(predicted, table, self.recipe.class_score)
        calibrated = scores - self.gamma * torch.from_numpy(self.candidates.seen)
        is_cosine = self.recipe.class_score == "cosine"
        length = predicted.norm(dim=-1, keepdim=True).clamp_min(1e-12) if is_cosine else 1.0
        found = []
        for vector, row in zip(predicted / length, calibrated):
            best = row.topk(min(self.top, len(row))).indices.tolist()
            found.append(tuple(self._answer(vector, table, row, label) for label in best))
        return found

    def _answer(self, predicted: Tensor, table: Tensor, scores: Tensor, label: int) -> Answer:
        others = (table.sum(dim=0) - table[label]) / max(len(table) - 1, 1)
        surplus = table[label] - others
        weights = (predicted * surplus).numpy()
        order = np.argsort(-weights, kind="stable")
        reasons = [Reason(self.attributes[k], float(weights[k]), bool(surplus[k] < 0)) for k in order]
        strongest = tuple(reason for reason in reasons[: self.reasons] if reason.weight > 0)
        weakest = tuple(reason for reason in reasons[::-1][: self.reasons] if reason.weight < 0)
        return Answer(self.candidates.classes[label], float(scores[label]), strongest, weakest)
