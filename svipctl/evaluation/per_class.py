"""Compute the results of each class: its accuracy under each protocol, and the class that it is most often confused
with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.evaluation.calibration import Integers
from svipctl.evaluation.protocols import ProtocolResults


@dataclass(frozen=True)
class ClassFigures:
    """Results of one class; accuracies are shares of 1."""

    label: int
    """Column of the class among the scored classes."""
    name: str
    seen: bool
    images: int
    accuracy: dict[str, float]
    """Protocol row -> share of its images that are classified correctly."""
    taken_for: str | None
    """The wrong class that is predicted most often; None if every answer is correct."""
    taken_for_share: float


def reading_row(evaluation: ProtocolResults) -> str:
    """Return the protocol for single answers: the one with the gamma of predictions.

    That gamma is from validation images, which a development run is scored on, or else 0; never from test images.
    """
    of_validation = () if evaluation.split == "test" else ("gzsl-oracle",)
    return next((row for row in ("gzsl-calibrated", *of_validation, "gzsl", "zsl") if row in evaluation.rows), "gzsl")


def answers_under(evaluation: ProtocolResults, row: str) -> Integers:
    """Return the class answered for each image under a protocol row, (N,).

    Under `zsl` only unseen classes are candidates, so that an image of a seen class has no correct answer.
    """
    if row == "zsl":
        return evaluation.answers.unseen_answers
    return evaluation.answers.predicted(evaluation.rows.get(row, {}).get("gamma", 0.0))


def confusion(labels: Integers, answers: Integers, classes: int) -> Integers:
    """Return counts (C, C) of the images of the row's class that were answered with the column's class."""
    counts = np.bincount(labels * classes + answers, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def most_confused(counts: Integers, top: int) -> list[tuple[int, int, int]]:
    """Return pairs of different classes with the most mistakes between them, in either direction.

    Args:
        counts: (C, C) counts from `confusion`.
        top: Maximum number of pairs.

    Returns:
        (class, class, mistakes), the most mistakes first; the class that is mistaken more often is first in a pair.

    """
    wrong = _mistakes(counts)
    first, second = np.triu_indices(len(counts), 1)
    both = wrong[first, second] + wrong[second, first]
    order = np.argsort(-both, kind="stable")[:top]
    pairs = [(int(first[i]), int(second[i]), int(both[i])) for i in order if both[i] > 0]
    return [(b, a, n) if wrong[b, a] > wrong[a, b] else (a, b, n) for a, b, n in pairs]


def per_class(evaluation: ProtocolResults, names: Sequence[str]) -> list[ClassFigures]:
    """Return the results of each class that has scored images.

    Args:
        evaluation: Evaluation of the scored images.
        names: Names of all candidate classes, in the order of the score columns.

    """
    answers = evaluation.answers
    rows = [row for row in ("zsl", "gzsl", "gzsl-calibrated", "gzsl-oracle") if row in evaluation.rows]
    right = {row: answers_under(evaluation, row) == answers.labels for row in rows}
    shown = answers_under(evaluation, reading_row(evaluation))
    wrong = _mistakes(confusion(answers.labels, shown, len(names)))
    found = []
    for label in np.unique(answers.labels):
        of_class = answers.labels == label
        seen, images = bool(answers.is_seen[of_class][0]), int(of_class.sum())
        taken, count = int(wrong[label].argmax()), int(wrong[label].max())
        found.append(
            ClassFigures(
                label=int(label),
                name=names[label],
                seen=seen,
                images=images,
                accuracy={row: float(right[row][of_class].mean()) for row in rows if row != "zsl" or not seen},
                taken_for=names[taken] if count else None,
                taken_for_share=count / images,
            )
        )
    return found


def class_document(evaluation: ProtocolResults, names: Sequence[str]) -> dict[str, Any]:
    """Return `classes` and `confusion` of the documented JSON, in percent; same arguments as `per_class`."""
    row, answers = reading_row(evaluation), evaluation.answers
    counts = confusion(answers.labels, answers_under(evaluation, row), len(names))
    wrong = _mistakes(counts)
    places = [(int(true), int(answer)) for true, answer in np.argwhere(wrong > 0)]
    places.sort(key=lambda place: -wrong[place])
    return {
        "classes": [
            {
                "class": one.name,
                "seen": one.seen,
                "images": one.images,
                "accuracy": {name: 100 * share for name, share in one.accuracy.items()},
            }
            for one in per_class(evaluation, names)
        ],
        "confusion": {
            "row": row,
            "pairs": [
                {"class": names[true], "answered": names[answer], "images": int(wrong[true, answer])}
                for true, answer in places
            ],
        },
    }


def _mistakes(counts: Integers) -> Integers:
    """Return counts (C, C) without the correct answers."""
    return counts - np.diag(np.diag(counts))
