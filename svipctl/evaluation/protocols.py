"""Compute every row of the evaluation, each under its protocol, from one set of class scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Split
from svipctl.evaluation.bootstrap import Interval, intervals
from svipctl.evaluation.calibration import (
    Answers,
    Curve,
    Floats,
    Integers,
    accuracies,
    seen_unseen_curve,
    with_harmonic,
)
from svipctl.evaluation.reference_row import published_row

ROWS = ("zsl", "gzsl", "gzsl-calibrated", "gzsl-oracle", "reference", "ausuc")
"""Rows in display order; a row that cannot be computed is absent."""
CHOSEN_ON_SCORED = frozenset(["gzsl-oracle", "reference"])
"""Rows whose gamma or offset is chosen on the scored images: upper bounds."""


def about(row: str, split: str = "test") -> str:
    """Return a short description of a row; rows of a development run are for the validation images of its fold."""
    scored = "test" if split == "test" else "these validation images"
    return {
        "zsl": "unseen among unseen",
        "gzsl": "all classes, no calibration",
        "gzsl-calibrated": "gamma from validation",
        "gzsl-oracle": f"gamma from {scored}: an upper bound",
        "reference": f"published scoring: gamma grid on {scored}, accuracy over images",
        "ausuc": "area under the seen-unseen curve",
    }[row]


@dataclass(frozen=True)
class Scored:
    """Class scores of the evaluated images, and which classes are seen."""

    scores: Floats
    """(N, C)."""
    labels: Integers
    """(N,) columns of `scores`."""
    seen_classes: Integers
    unseen_classes: Integers

    @classmethod
    def of_split(cls, scores: Floats, labels: Integers, split: Split) -> Scored:
        """Return the scores of images among the classes of a split.

        Args:
            scores: (N, C), one column for each of `split.classes`.
            labels: (N,) rows of the data set's class attributes.
            split: Seen and unseen classes.

        """
        columns = [np.searchsorted(split.classes, some) for some in (labels, split.seen_classes, split.unseen_classes)]
        return cls(scores, columns[0], columns[1], columns[2])

    def answers(self) -> Answers:
        """Return the scores reduced to the values that calibration needs."""
        return Answers.from_scores(self.scores, self.labels, self.seen_classes, self.unseen_classes)


@dataclass(frozen=True)
class ProtocolResults:
    """All rows of an evaluation, as shares of 1."""

    images: dict[str, int]
    rows: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    warnings: tuple[str, ...]
    curve: Curve
    answers: Answers
    split: str = "test"
    """`test`, or the fold whose validation images were scored."""

    def per_image(self) -> dict[str, dict[str, float]]:
        """Return the rows with accuracies averaged over images instead of classes, at the same gammas."""
        answers = self.answers
        sides = {True: answers.is_seen.sum(), False: (~answers.is_seen).sum()}
        weights = np.where(answers.is_seen, 1 / max(sides[True], 1), 1 / max(sides[False], 1))
        found: dict[str, dict[str, float]] = {}
        for row, figures in self.rows.items():
            if row == "zsl":
                found[row] = {"T1": float(weights @ answers.unseen_correct)}
            elif row.startswith("gzsl"):
                found[row] = with_harmonic(*accuracies(answers, figures.get("gamma", 0.0), weights))
        return found

    def document(self) -> dict[str, Any]:
        """Return `images`, `protocols`, `per_image` and `intervals` of the documented JSON, in percent (gamma and
        offset are
        scores).
        """
        return {
            "images": self.images,
            "protocols": {row: _percent(figures) for row, figures in self.rows.items()},
            "per_image": {row: _percent(figures) for row, figures in self.per_image().items()},
            "intervals": {
                row: {figure: [100 * bound for bound in pair] for figure, pair in pairs.items()}
                for row, pairs in self.intervals.items()
            },
        }


def evaluate_protocols(
    scored: Scored, *, gamma: float | None = None, resamples: int = 1000, seed: int = 0, split: str = "test"
) -> ProtocolResults:
    """Compute every row that the images allow (protocols, table).

    Args:
        scored: Scores of seen and unseen test images; either side may be empty.
        gamma: Calibration chosen on a validation split, for the `gzsl-calibrated` row.
        resamples: Bootstrap resamples behind the intervals; 0 for none.
        seed: Random seed of the bootstrap.
        split: `test`, or the fold whose validation images these are; for texts only.

    """
    answers = scored.answers()
    seen_images, unseen_images = int(answers.is_seen.sum()), int((~answers.is_seen).sum())
    curve = seen_unseen_curve(answers)
    rows: dict[str, dict[str, float]] = {}
    warnings = []
    if unseen_images:
        rows["zsl"] = {"T1": answers.zero_shot_accuracy}
    else:
        warnings.append("no rows, only counts: every row needs images of unseen classes, and there are none")
    gammas: dict[str, float] = {}
    if seen_images and unseen_images:
        gammas = {"gzsl": 0.0, "gzsl-oracle": float(curve.gammas[curve.best()])}
        if gamma is None:
            warnings.append(
                "no row gzsl-calibrated: "
                + (
                    "this model has no gamma chosen on validation images (train with --calibrate)"
                    if split == "test"
                    else "these are the validation images on which gamma is chosen"
                )
            )
        else:
            gammas["gzsl-calibrated"] = gamma
        for row, value in gammas.items():
            rows[row] = {"gamma": value} if row != "gzsl" else {}
            rows[row] |= with_harmonic(*accuracies(answers, value))
        classes = np.union1d(scored.seen_classes, scored.unseen_classes)
        rows["reference"] = published_row(answers, scored.scores, classes)
        rows["ausuc"] = {"value": curve.area}
    elif unseen_images:
        warnings.append("no gzsl rows: there are no test images of seen classes")
    found = intervals(answers, gammas, resamples=resamples, seed=seed) if resamples and unseen_images else {}
    return ProtocolResults(
        images={"seen": seen_images, "unseen": unseen_images},
        rows={row: rows[row] for row in ROWS if row in rows},
        intervals={row: found[row] for row in ROWS if row in found and row in rows},
        warnings=tuple(warnings),
        curve=curve,
        answers=answers,
        split=split,
    )


def _percent(figures: dict[str, float]) -> dict[str, float]:
    return {name: value if name in ("gamma", "offset") else 100 * value for name, value in figures.items()}
