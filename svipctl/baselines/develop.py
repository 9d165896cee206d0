"""Choose a baseline's hyper-parameters and gamma on development folds, like the method's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from svipctl.baselines.choices import (
    GRIDS,
    Choice,
    Method,
    Preparation,
    Prepared,
    Targets,
    attributes_for,
    compared,
    maps,
    score,
    scores_of,
)
from svipctl.baselines.fit import fit_and_predict, training_images
from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.calibration import pooled_gamma, seen_unseen_curve
from svipctl.evaluation.protocols import Scored
from svipctl.inference.image_features import ImageFeatures
from svipctl.model.ridge import spectrum
from svipctl.types import ProgressCallback

RULE = (
    "best H over all gammas on the validation part of the folds, mean over folds; gamma: largest mean H over the folds"
)


@dataclass(frozen=True)
class OnFold:
    """Result of one choice on the validation part of a fold."""

    fold: int
    gamma: float
    """Gamma of the best H."""
    harmonic: float
    """The best H in percent."""


@dataclass(frozen=True)
class Developed:
    """The best choice."""

    choice: Choice
    folds: tuple[OnFold, ...]
    tried: int
    """Number of choices."""
    gamma: float
    """The gamma of the largest mean H over the folds."""

    def document(self, run: str) -> dict[str, Any]:
        """Return the content of `development.json`, in the form of a final run's, with the run itself as its origin."""
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
        method: Name of the baseline.
        features: Features of the data set's images.
        benchmark: Data set with these folds.
        folds: Numbers of the folds, from 1.
        progress: Called with folds done and folds in total.

    Raises:
        ConfigError: A fold does not exist.

    """
    reached: dict[Choice, list[OnFold]] = {}
    for number, fold in enumerate(folds, 1):
        for choice, found in _on_fold(method, features, benchmark, fold):
            reached.setdefault(choice, []).append(found)
        if progress:
            progress(number, len(folds))
    best = max(reached, key=lambda choice: sum(found.harmonic for found in reached[choice]))
    curves = []
    for split in map(benchmark.split, folds):
        validated = np.concatenate([split.seen, split.unseen])
        scored = fit_and_predict(method, best, features, benchmark, split, validated)
        curves.append(seen_unseen_curve(scored.answers()))
    return Developed(best, tuple(reached[best]), len(reached), pooled_gamma(curves))


def _on_fold(method: Method, features: ImageFeatures, benchmark: Benchmark, fold: int) -> list[tuple[Choice, OnFold]]:
    split = benchmark.split(fold)
    validated = np.concatenate([split.seen, split.unseen])
    labels = benchmark.labels[validated]
    training, rows = training_images(features, benchmark, split)
    held_out = features.of(validated)
    seen_classes, classes = (benchmark.class_attributes[some] for some in (split.seen_classes, split.classes))
    found = []
    for preparation in get_args(Preparation):
        prepared = Prepared.by(preparation, training)
        inputs, images = prepared(training), prepared(held_out)
        of_inputs = spectrum(inputs) if method in ("ridge", "eszsl", "sae") else None
        for targets in get_args(Targets):
            seen, table = (attributes_for(targets, some, seen_classes) for some in (seen_classes, classes))
            grid = GRIDS[method]
            for weights, mapping in zip(grid, maps(method, inputs, rows, seen, grid, of_inputs)):
                predicted, compared_with = compared(method, images, mapping, table, seen)
                for kind in scores_of(method):
                    scored = Scored.of_split(score(predicted, compared_with, kind), labels, split)
                    found.append((Choice(preparation, targets, weights, kind), _best_point(fold, scored)))
    return found


def _best_point(fold: int, scored: Scored) -> OnFold:
    curve = seen_unseen_curve(scored.answers())
    best = curve.best()
    return OnFold(fold, float(curve.gammas[best]), 100 * float(curve.harmonic[best]))
