"""Rank classes for predicted attributes, with the attributes that count for and against each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.errors import DataError
from svipctl.inference.class_table import ClassTable
from svipctl.inference.image_sources import ImageSource
from svipctl.model.class_scorer import ClassScorer


@dataclass(frozen=True)
class Reason:
    """The contribution of an attribute to a class's score above the mean of the other candidates.

    The sum over all attributes is the class's score minus that mean, before gamma and before what the class loses for
    the length of its prototype (`method.prototype_weight`).
    """

    attribute: str
    weight: float
    lacking: bool
    """True if the class has less of the attribute than the others, so that its absence is what counts."""

    def __str__(self) -> str:
        return f"{'no ' if self.lacking else ''}{self.attribute} {self.weight:+.2f}"


@dataclass(frozen=True)
class Answer:
    """One class proposed for an image."""

    name: str
    score: float
    """Cosine (or dot product, depending on the recipe), minus gamma for a seen class."""
    speaks_for: tuple[Reason, ...]
    """Attributes that raise the score most, largest contribution first."""
    speaks_against: tuple[Reason, ...]
    """Attributes that lower the score most, largest contribution first."""

    def document(self) -> dict[str, Any]:
        """Return the answer as `svipctl predict --json` shows it."""
        return {
            "class": self.name,
            "score": self.score,
            "for": {reason.attribute: reason.weight for reason in self.speaks_for},
            "against": {reason.attribute: reason.weight for reason in self.speaks_against},
            "lacking": [one.attribute for one in (*self.speaks_for, *self.speaks_against) if one.lacking],
        }


@dataclass(frozen=True)
class ClassifiedImage:
    """Ranked classes for one image."""

    image: ImageSource
    """The path, image or array as it was given."""
    answers: tuple[Answer, ...]
    """Best first."""
    attributes: NDArray[np.float64]
    """(K,) predicted attribute vector."""
    related: NDArray[np.bool_]
    """(rows, columns) of windows, True for those that are related to the object according to the patch classifier."""

    @property
    def kept_windows(self) -> list[list[int]]:
        """Row and column of each related window, counted from 0."""
        found: list[list[int]] = np.argwhere(self.related).tolist()
        return found

    def document(self) -> dict[str, Any]:
        """Return the entry of `svipctl predict --json`."""
        return {
            "image": str(self.image),
            "answers": [answer.document() for answer in self.answers],
            "attributes": self.attributes.tolist(),
            "windows": {"grid": list(self.related.shape), "kept": self.kept_windows},
        }

    def rows(self) -> Iterator[list[object]]:
        """Yield the rows of `svipctl predict --csv`, one per answer."""
        patches = " ".join(f"{row}:{column}" for row, column in self.kept_windows)
        for rank, answer in enumerate(self.answers, 1):
            reasons = ["; ".join(map(str, some)) for some in (answer.speaks_for, answer.speaks_against)]
            yield [self.image, rank, answer.name, f"{answer.score:.6f}", *reasons, patches]


@dataclass(frozen=True)
class UnreadableImage:
    """An image that cannot be classified because it does not decode."""

    image: ImageSource
    error: DataError


@dataclass(frozen=True)
class AnswerMaker:
    """The candidate classes and the way of a network to score them."""

    attributes: Sequence[str]
    classes: ClassTable
    gamma: float
    """Subtracted from the scores of seen classes."""
    scorer: ClassScorer
    top: int = 5
    """Answers per image."""
    reasons: int = 3
    """Maximum number of attributes for and against each answer."""

    def answers(self, predicted: Tensor) -> list[tuple[Answer, ...]]:
        """Return the `top` best classes of each image, best first.

        Args:
            predicted: (B, K) attributes in float64.

        """
        scores = self.scorer.compare(predicted, self._table)
        calibrated = scores - self.gamma * torch.from_numpy(self.classes.seen).to(scores.dtype)
        is_cosine = self.scorer.recipe.class_score == "cosine"
        length = predicted.norm(dim=-1, keepdim=True).clamp_min(1e-12) if is_cosine else 1.0
        found = []
        for vector, row in zip(predicted / length, calibrated):
            best = row.topk(min(self.top, len(row))).indices.tolist()
            found.append(tuple(self._answer(vector, row, label) for label in best))
        return found

    @cached_property
    def _table(self) -> Tensor:
        """Rows that predictions are compared with, (C, K)."""
        return self.scorer.table(torch.from_numpy(self.classes.class_attributes))

    @cached_property
    def _surplus(self) -> Tensor:
        """Attributes of each class minus the mean of the other candidates, (C, K)."""
        others = (self._table.sum(dim=0) - self._table) / max(len(self._table) - 1, 1)
        return self._table - others

    def _answer(self, predicted: Tensor, scores: Tensor, label: int) -> Answer:
        surplus = self._surplus[label]
        weights = (predicted * surplus).numpy()
        order = np.argsort(-weights, kind="stable")
        reasons = [Reason(self.attributes[k], float(weights[k]), bool(surplus[k] < 0)) for k in order]
        strongest = tuple(reason for reason in reasons[: self.reasons] if reason.weight > 0)
        weakest = tuple(reason for reason in reasons[::-1][: self.reasons] if reason.weight < 0)
        return Answer(self.classes.classes[label], float(scores[label]), strongest, weakest)
