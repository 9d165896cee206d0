"""Evaluate a trained model on a data set: predict, score under every protocol, measure selection and localization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.workers import explained_lost_workers
from svipctl.device import precision_name, use_device
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.evaluation.leakage import check_scorable
from svipctl.evaluation.localization import localisation, part_groups
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.evaluation.result import ModelEvaluation, evaluation_document
from svipctl.evaluation.selection_quality import patch_classifier_quality
from svipctl.evaluation.truth import object_truth
from svipctl.inference.dataset_predictions import Predictions, predict_dataset
from svipctl.inference.load import load_for_evaluation
from svipctl.inference.stem_features import with_features
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.class_scorer import ClassScorer
from svipctl.runs.run import Run
from svipctl.settings.schema import EvalSettings, Settings
from svipctl.types import ProgressCallback, Workers


@explained_lost_workers("run the same command again")
def evaluate_model(
    model: TrainedModel,
    benchmark: Benchmark,
    settings: EvalSettings | None = None,
    *,
    seed: int = 0,
    workers: Workers = "auto",
    ranks: Ranks = ALONE,
    progress: ProgressCallback | None = None,
) -> ModelEvaluation:
    """Score a model on the test images, or on the validation images of its fold if it is from a development run.

    Nothing is written.

    Args:
        model: Model from `svipctl.load`.
        benchmark: The data set that it was trained on.
        settings: Batch size, bootstrap resamples, and measurement of the patch classifier; the defaults if None.
        seed: Random seed of the bootstrap.
        workers: Processes that decode images.
        ranks: The processes that divide the images.
        progress: Called with images done and images in all.

    Raises:
        DataError: As `check_scorable`, or an image is missing or does not decode.
        CheckFailed: The network's output is not finite.

    """
    settings = settings or EvalSettings()
    scorable = check_scorable(model, benchmark)
    split, network = scorable.split, model.network
    with_selection = settings.selection and network.recipe.passes == "both"
    groups = part_groups(benchmark) if network.recipe.head == "windows" else None
    indices = np.concatenate([split.seen, split.unseen])
    predictions = predict_dataset(
        model,
        benchmark,
        indices,
        batch_size=settings.batch_size,
        workers=workers,
        ranks=ranks,
        source_scores=with_selection,
        peaks_of=None if groups is None else groups.chosen,
        progress=progress,
    )
    scored = score_split(benchmark, split, predictions, network.scorer)
    results = evaluate_protocols(
        scored, gamma=scorable.gamma, resamples=settings.bootstrap, seed=seed, split=split.name
    )
    geometry, shape = model.geometry, network.grid.window_shape
    truth = object_truth(benchmark, indices, geometry, shape) if with_selection or groups is not None else None
    maps: dict[str, Any] = {}
    if groups is not None and predictions.peaks is not None:
        maps = localisation(benchmark, indices, predictions.peaks, groups, truth, geometry, shape)
    classes = tuple(benchmark.classes[label] for label in split.classes)
    document = evaluation_document(
        results,
        classes,
        {
            "dataset": benchmark.name,
            "run": model.run.name if model.run is not None and model.checkpoint is None else None,
            "recipe": model.metadata.recipe,
            "epoch": model.metadata.epoch,
            "split": split.name,
            **model.gamma.document(),
            "settings": {
                "precision": precision_name(model.dtype),
                "bootstrap": settings.bootstrap,
                "selection": settings.selection,
            },
        },
        selection=patch_classifier_quality(network, predictions, truth) if with_selection else {},
        localisation=maps,
        missing_images=len(benchmark.missing) or None,
        development=None if scorable.development is None else scorable.development.document(),
        checkpoint=None if model.checkpoint is None else dict(model.checkpoint),
        warnings=[
            *benchmark.warnings,
            *scorable.warnings,
            *predictions.notes,
        ],
    )
    return ModelEvaluation(document, results, scored, classes, predictions, scorable)


def score_split(benchmark: Benchmark, split: Split, predictions: Predictions, scorer: ClassScorer) -> Scored:
    """Return class scores among the split's classes, in float64."""
    table = torch.from_numpy(benchmark.class_attributes[split.classes])
    scores = scorer(torch.from_numpy(predictions.attributes), table)
    return Scored.of_split(scores.numpy(), benchmark.labels[predictions.indices], split)


def evaluate_subject(
    subject: Run | Path,
    benchmark: Benchmark,
    settings: Settings,
    progress: ProgressCallback | None = None,
    ranks: Ranks = ALONE,
    file: FeatureFile | None = None,
) -> ModelEvaluation:
    """Load and evaluate a run, and write its `eval/metrics.json`, or a checkpoint, without writing anything.

    Args:
        subject: A run, a checkpoint folder, or a file of weights.
        benchmark: The data set of the model.
        settings: Device, precision, batch size, workers, bootstrap; as for `load_for_evaluation`.
        progress: Called with images done and images in all.
        ranks: The processes that divide the images; the first one writes.
        file: Features for a network on features of a file; those that its run names if None.

    Raises:
        ConfigError, DataError, CheckFailed: As `load_for_evaluation` and `evaluate_model`.

    """
    model = with_features(
        load_for_evaluation(subject, benchmark, settings, use_device(settings.gpu, ranks.local)), benchmark, file
    )
    evaluation = evaluate_model(
        model,
        benchmark,
        settings.eval,
        seed=settings.seed,
        workers=settings.data.workers,
        ranks=ranks,
        progress=progress,
    )
    if isinstance(subject, Run) and ranks.is_first:
        subject.save_json("eval/metrics.json", evaluation.document)
    return evaluation
