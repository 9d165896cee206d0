"""Choosing a baseline's hyper-parameters and gamma on development folds, as the method chooses its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, get_args

import numpy as np

from svipctl.baselines.choices import Choice, Method, attributes_for, candidates, score
from svipctl.baselines.image_features import ImageFeatures
from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.evaluation.calibration import seen_unseen_curve
from svipctl.evaluation.protocols import Scored
from svipctl.model.ridge import Floats
from svipctl.model.scores import ClassScore
from svipctl.types import ProgressCallback

RULE = "best H over all gammas on the validation part of the folds (mean over folds); gamma: median over the folds"


@dataclass(frozen=True)
class OnFold:
    """What one choice reaches on the validation part of a fold."""

    fold: int
    gamma: float
    """Of the best H."""
    harmonic: float
    """That H, percent."""


@dataclass(frozen=True)
class Developed:
    """The best choice."""

    choice: Choice
    folds: tuple[OnFold, ...]
    tried: int
    """How many choices there were."""

    @property
    def gamma(self) -> float:
        """Median over the folds."""
        return float(median(fold.gamma for fold in self.folds))

    def document(self, run: str) -> dict[str, Any]:
        """What `development.json` of the run holds; in the form of a final run's, with the run itself as its origin."""
        folds = [
            {"run": run, "fold": fold.fold, "seed": 0, "epochs": 0, "gamma": fold.gamma, "harmonic": fold.harmonic}
            for fold in self.folds
        ]
        return {
            "rule": RULE,
            "epochs": 0,
            "gamma": self.gamma,
            "runs": folds,
            "choice": asdict(self.choice) | {"weights": list(self.choice.weights)},
            "tried": self.tried,
        }


def develop(
    method: Method,
    features: ImageFeatures,
    benchmark: Benchmark,
    folds: Sequence[int],
    progress: ProgressCallback | None = None,
) -> Developed:
    """Try every choice on every fold.

    Args:
        method: Which baseline.
        features: Of the benchmark's images.
        benchmark: With these folds.
        folds: Numbers from 1.
        progress: Called with choices tried and choices in all, once a fold.

    Raises:
        ConfigError: There is no such fold.

    """
    reached: dict[Choice, list[OnFold]] = {}
    for number, fold in enumerate(folds, 1):
        for choice, found in _on_fold(method, features, benchmark, fold):
            reached.setdefault(choice, []).append(found)
        if progress:
            progress(number, len(folds))
    best = max(reached, key=lambda choice: sum(found.harmonic for found in reached[choice]))
    return Developed(best, tuple(reached[best]), len(reached))


def scored_by(benchmark: Benchmark, split: Split, predicted: Floats, choice: Choice, indices: np.ndarray) -> Scored:
    """Class scores among the split's classes of images by index."""
    every = benchmark.class_attributes
    table = attributes_for(choice.targets, every[split.classes], every[split.seen_classes])
    return Scored.of_split(score(predicted, table, choice.score), benchmark.labels[indices], split)


def _on_fold(method: Method, features: ImageFeatures, benchmark: Benchmark, fold: int) -> list[tuple[Choice, OnFold]]:
    split = benchmark.split(fold)
    validated = np.concatenate([split.seen, split.unseen])
    training, held_out = features.of(split.train), features.of(validated)
    rows = np.searchsorted(split.seen_classes, benchmark.labels[split.train])
    table = benchmark.class_attributes[split.seen_classes]
    found = []
    for preparation, targets, weights, prepared, mapping in candidates(method, training, rows, table):
        predicted = prepared(held_out) @ mapping
        for kind in get_args(ClassScore):
            choice = Choice(preparation, targets, weights, kind)
            curve = seen_unseen_curve(scored_by(benchmark, split, predicted, choice, validated).answers())
            best = curve.best()
            reached = OnFold(fold, float(curve.gammas[best]), 100 * float(curve.harmonic[best]))
            found.append((choice, reached))
    return found
