"""Fit and score a baseline as a run: choices on folds, fitted on all of trainval, scored once on the test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.baselines.choices import Method
from svipctl.baselines.develop import Developed, develop
from svipctl.baselines.fit import fit_and_predict
from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.leakage import check_gamma, check_untouched
from svipctl.evaluation.protocols import evaluate_protocols
from svipctl.evaluation.result import Evaluation, evaluation_document
from svipctl.inference.image_features import ImageFeatures
from svipctl.runs.run import BASELINE, Run
from svipctl.settings.schema import Settings
from svipctl.training.environment import describe_environment
from svipctl.types import ProgressCallback


@dataclass(frozen=True)
class Baseline:
    """Request for a baseline."""

    method: Method
    folds: tuple[int, ...]

    def document(self, features: ImageFeatures) -> dict[str, Any]:
        """Return the content of `baseline.json`."""
        fitted = "images" if features.mirrored is None else "images and their mirror images"
        return {"method": self.method, "folds": list(self.folds), "features": f"{features.what}; fitted to {fitted}"}


def fit_and_score(
    baseline: Baseline,
    settings: Settings,
    benchmark: Benchmark,
    features: ImageFeatures,
    run: Run,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Choose on folds, write the run's folder, fit, score, and write `eval/metrics.json` last.

    Args:
        baseline: Method and folds.
        settings: Backbone, data and evaluation; kept as the run's configuration.
        benchmark: The data set.
        features: Features of its images.
        run: A folder that does not exist yet, or the remains of a killed baseline.
        progress: Called with folds done and folds in total.

    Raises:
        ConfigError: The data set has no such fold, or the run exists.
        DataError: A scored image was trained on, or gamma was chosen on it.

    """
    developed = develop(baseline.method, features, benchmark, baseline.folds, progress)
    split = benchmark.test_split()
    if run.is_abandoned:
        run.discard_without_checkpoint()
    with run.written_to(is_new=True) as run:
        run.start(
            settings,
            describe_environment(features.device, features.dtype, features.weights),
            [benchmark.images[index] for index in split.train],
            development=developed.document(run.name),
            validation_images=_validation_images(benchmark, baseline.folds),
        )
        run.save_json(BASELINE, baseline.document(features))
        evaluation = _score(baseline, developed, settings, benchmark, features, run)
        run.save_json("eval/metrics.json", evaluation.document)
    return evaluation


def _score(
    baseline: Baseline,
    developed: Developed,
    settings: Settings,
    benchmark: Benchmark,
    features: ImageFeatures,
    run: Run,
) -> Evaluation:
    split = benchmark.test_split()
    tested = np.concatenate([split.seen, split.unseen])
    images = [benchmark.images[index] for index in tested]
    check_untouched(run, images)
    check_gamma(run, images)
    scored = fit_and_predict(baseline.method, developed.choice, features, benchmark, split, tested)
    results = evaluate_protocols(scored, gamma=developed.gamma, resamples=settings.eval.bootstrap, seed=settings.seed)
    classes = tuple(benchmark.classes[label] for label in split.classes)
    document = evaluation_document(
        results,
        classes,
        {"dataset": benchmark.name, "run": run.name, "recipe": None, "epoch": None, "split": split.name},
        selection={},
        baseline=baseline.document(features),
        development=developed.document(run.name),
        missing_images=len(benchmark.missing) or None,
        warnings=[*benchmark.warnings, *features.warnings],
    )
    return Evaluation(document, results, scored, classes)


def _validation_images(benchmark: Benchmark, folds: Sequence[int]) -> list[str]:
    splits = [benchmark.split(fold) for fold in folds]
    indices = np.unique(np.concatenate([part for split in splits for part in (split.seen, split.unseen)]))
    return [benchmark.images[index] for index in indices]
