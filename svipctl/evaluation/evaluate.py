"""Evaluate a trained model on a data set: predict, score under every protocol, measure selection and localization; or
plan it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.registry import open_benchmark, pictures_to_draw
from svipctl.datasets.workers import explained_lost_workers
from svipctl.device import check_devices, choose_dtype, precision_name, use_device
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.evaluation.image_answers import save_evaluation
from svipctl.evaluation.leakage import check_scorable
from svipctl.evaluation.localization import localisation, part_groups
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.evaluation.result import ModelEvaluation, evaluation_document
from svipctl.evaluation.selection_quality import patch_classifier_quality
from svipctl.evaluation.truth import object_truth
from svipctl.inference.checkpoint import read_metadata
from svipctl.inference.dataset_predictions import Predictions, predict_dataset
from svipctl.inference.load import load_for_evaluation
from svipctl.inference.trained_model import TrainedModel
from svipctl.inference.weights_file import read_trained
from svipctl.model.class_scorer import ClassScorer
from svipctl.runs.folder import RunFile
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.types import ProgressCallback


@explained_lost_workers("run the same command again")
def evaluate_model(
    model: TrainedModel,
    benchmark: Benchmark,
    settings: Settings,
    progress: ProgressCallback | None = None,
    ranks: Ranks = ALONE,
) -> ModelEvaluation:
    """Score a model on the test images, or on the validation images of its fold if it is from a development run.

    Nothing is written.

    Args:
        model: Model from `svipctl.load`.
        benchmark: The data set that it was trained on.
        settings: Batch size, workers, bootstrap and its seed, and measurement of the patch classifier.
        progress: Called with images done and images in all.
        ranks: The processes that divide the images.

    Raises:
        DataError: As `check_scorable`, or an image or a mask is missing or cannot be used.
        CheckFailed: The network's output is not finite.

    """
    scorable = check_scorable(model, benchmark)
    split, network = scorable.split, model.network
    with_selection = settings.eval.selection and network.recipe.passes == "both"
    groups = part_groups(benchmark) if network.recipe.head == "windows" else None
    indices = split.scored
    geometry, shape = model.geometry, network.grid.window_shape
    # Before the predictions, which take long, because a mask may be unusable.
    truth = object_truth(benchmark, indices, geometry, shape) if with_selection or groups is not None else None
    predictions = predict_dataset(
        model,
        benchmark,
        indices,
        batch_size=settings.eval.batch_size,
        workers=settings.data.workers,
        ranks=ranks,
        source_scores=with_selection,
        peaks_of=None if groups is None else groups.chosen,
        progress=progress,
    )
    scored = score_split(benchmark, split, predictions, network.scorer)
    results = evaluate_protocols(
        scored, gamma=scorable.gamma, resamples=settings.eval.bootstrap, seed=settings.seed, split=split.name
    )
    maps: dict[str, Any] = {}
    if groups is not None and predictions.peaks is not None:
        maps = localisation(benchmark, indices, predictions.peaks, groups, truth, geometry, shape)
    classes = tuple(benchmark.names_of(split.classes))
    run = model.run if model.checkpoint is None else None
    document = evaluation_document(
        results,
        classes,
        {
            "dataset": benchmark.name,
            "run": run.name if run else None,
            "recipe": model.metadata.recipe,
            "epoch": model.metadata.epoch,
            "split": split.name,
            **model.gamma.document(),
            "settings": {
                "precision": precision_name(model.dtype),
                "bootstrap": settings.eval.bootstrap,
                "selection": settings.eval.selection,
            },
        },
        selection=patch_classifier_quality(network, predictions, truth) if with_selection else {},
        localisation=maps,
        missing_images=len(benchmark.missing) or None,
        development=None if scorable.development is None else scorable.development.document(),
        checkpoint=None if model.checkpoint is None else dict(model.checkpoint),
        checkpoint_sha256=model.metadata.sha256 if run else None,
        warnings=[
            *benchmark.warnings,
            *scorable.warnings,
            *predictions.notes,
        ],
    )
    images = tuple(benchmark.files(predictions.indices))
    return ModelEvaluation(document, results, scored, classes, predictions, model, split, images=images)


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
    """Load and evaluate a run, and write its `eval/metrics.json` and `eval/images.csv`, or a checkpoint, without writing anything.

    Args:
        subject: A run, a checkpoint folder, or a weights file.
        benchmark: The data set of the model.
        settings: Device, precision, batch size, workers, bootstrap; as for `load_for_evaluation`.
        progress: Called with images done and images in all.
        ranks: The processes that divide the images; the first one writes.
        file: Features for a network on features of a file; those that its run names if None.

    Raises:
        ConfigError, DataError, CheckFailed: As `load_for_evaluation` and `evaluate_model`.

    """
    model = load_for_evaluation(subject, benchmark, settings, use_device(settings.gpu, ranks.local), file)
    evaluation = evaluate_model(model, benchmark, settings, progress, ranks)
    if isinstance(subject, Run) and ranks.is_first:
        save_evaluation(subject, evaluation)
    return evaluation


def plan_evaluation(subject: Run | Path, settings: Settings, file: FeatureFile | None = None) -> dict[str, Any]:
    """Return the plan of an evaluation of a run or a checkpoint, without drawing, predicting or writing.

    While images of a built-in data set are not drawn yet, split, images and warnings are not known. Its word vectors
    are built if a checkpoint needs them and they are missing. `memory_mib` is the size of the weights, without
    activations.

    Raises:
        ConfigError, DataError: As the evaluation itself.

    """
    device = check_devices(settings.gpu)
    run = subject if isinstance(subject, Run) else None
    plan: dict[str, Any] = {
        "dataset": settings.dataset,
        "pictures_to_draw": pictures_to_draw(settings.dataset, settings.data_dir),
        "run": str(run.folder) if run else None,
        "checkpoint": None if run else str(subject),
        "device": str(device),
        "precision": precision_name(choose_dtype(settings.precision, device)),
        "batch_size": settings.eval.batch_size,
        "writes": str(run.folder / RunFile.EVALUATION) if run else None,
    }
    if plan["pictures_to_draw"]:
        if isinstance(subject, Run):
            subject.require_network()
            read_metadata(subject.best)
        else:
            read_trained(subject)
        return plan | {"split": None, "images": None, "memory_mib": None, "warnings": []}
    partial, listed = settings.data.allow_partial, None if file is None else file.images
    benchmark = open_benchmark(settings.dataset, settings.data_dir, allow_partial=partial, listed=listed)
    model = load_for_evaluation(subject, benchmark, settings, torch.device("cpu"), file)
    found = check_scorable(model, benchmark)
    return plan | {
        "split": found.split.name,
        "images": {"seen": len(found.split.seen), "unseen": len(found.split.unseen)},
        "memory_mib": round(4 * sum(parameter.numel() for parameter in model.network.parameters()) / 2**20),
        "warnings": [*benchmark.warnings, *found.warnings],
    }
