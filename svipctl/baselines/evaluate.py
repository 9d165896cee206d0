"""Fit and score a baseline as a run: choices on folds, fitted on all of trainval, scored once on the test images."""

from __future__ import annotations

from collections.abc import Sequence

from svipctl.baselines.choices import Method
from svipctl.baselines.develop import develop
from svipctl.baselines.fit import fit_choice
from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.image_answers import save_evaluation
from svipctl.evaluation.leakage import check_gamma, check_untouched
from svipctl.evaluation.protocols import evaluate_protocols
from svipctl.evaluation.result import Evaluation, evaluation_document
from svipctl.inference.image_features import ImageFeatures
from svipctl.runs.folder import RunFile
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.training.development import validation_images
from svipctl.training.environment import describe_environment
from svipctl.types import ProgressCallback


def fit_and_score(
    method: Method,
    folds: Sequence[int],
    settings: Settings,
    benchmark: Benchmark,
    features: ImageFeatures,
    run: Run,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Choose on folds, write the run's folder, fit, score, and write `eval/metrics.json` last.

    Args:
        method: Name of the baseline.
        folds: Folds to choose on, from 1.
        settings: Backbone, data and evaluation; kept as the run's configuration.
        benchmark: The data set.
        features: Features of its images.
        run: A folder that does not exist yet, or the remains of a killed baseline.
        progress: Called with folds done and folds in total.

    Raises:
        ConfigError: The data set has no such fold, or the run exists.
        DataError: A scored image was trained on, or gamma was chosen on it.

    """
    developed = develop(method, features, benchmark, folds, progress)
    development = developed.document(run.name)
    fitted = "images" if features.mirrored is None else "images and their mirror images"
    baseline = {"method": method, "folds": list(folds), "features": f"{features.what}; fitted to {fitted}"}
    split = benchmark.split()
    if run.is_abandoned:
        run.discard_without_checkpoint()
    with run.written_to(is_new=True) as run:
        run.start(
            settings,
            describe_environment(features.device, features.dtype, features.weights),
            benchmark.files(split.train),
            development=development,
            validation_images=validation_images(benchmark, folds),
        )
        run.save_json(RunFile.BASELINE, baseline)
        images = benchmark.files(split.scored)
        check_untouched(run, images)
        check_gamma(run, images)
        scored = fit_choice(method, developed.choice, features, benchmark, split)
        resamples = settings.eval.bootstrap
        results = evaluate_protocols(scored, gamma=developed.gamma, resamples=resamples, seed=settings.seed)
        classes = tuple(benchmark.names_of(split.classes))
        document = evaluation_document(
            results,
            classes,
            {"dataset": benchmark.name, "run": run.name, "recipe": None, "epoch": None, "split": split.name},
            selection={},
            baseline=baseline,
            development=development,
            missing_images=len(benchmark.missing) or None,
            warnings=[*benchmark.warnings, *features.warnings],
        )
        evaluation = Evaluation(document, results, scored, classes, images=tuple(images))
        save_evaluation(run, evaluation)
    return evaluation
