"""Evaluating a trained run: load, predict, score, and keep the result beside the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.datasets.official import partial_warning
from svipctl.device import choose_device, choose_dtype
from svipctl.errors import DataError
from svipctl.evaluation.localisation import localisation, part_groups
from svipctl.evaluation.predict import Predictions, Predictor, Progress
from svipctl.evaluation.protocols import Evaluation, Scored, evaluate
from svipctl.evaluation.score import scored, selection
from svipctl.evaluation.truth import object_truth
from svipctl.model.checkpoint import Metadata, load_checkpoint, sha256_of
from svipctl.model.svip import SVIP
from svipctl.ranks import ALONE, Ranks
from svipctl.runs import Run
from svipctl.settings.schema import Settings


@dataclass(frozen=True)
class Measured:
    """An evaluation with all that it was made from."""

    document: dict[str, Any]
    """The documented JSON (percent)."""
    evaluation: Evaluation
    split: Split
    predictions: Predictions
    """Of the scored images: seen ones first, then unseen ones."""
    scored: Scored
    model: SVIP
    metadata: Metadata


def evaluate_run(
    run: Run, benchmark: Benchmark, settings: Settings, progress: Progress | None = None, ranks: Ranks = ALONE
) -> tuple[dict[str, Any], Evaluation]:
    """`measure_run` for whoever needs the numbers only: the documented JSON and the evaluation behind it."""
    measured = measure_run(run, benchmark, settings, progress, ranks)
    return measured.document, measured.evaluation


def measure_run(
    run: Run, benchmark: Benchmark, settings: Settings, progress: Progress | None = None, ranks: Ranks = ALONE
) -> Measured:
    """Score a run's best checkpoint and write `eval/metrics.json`.

    A final run is scored on the test images; a development run on the validation images of its fold, so that nothing
    is ever chosen on test.

    Args:
        run: A run of that benchmark.
        benchmark: With the same classes and attributes as in training.
        settings: Of the evaluation: device, precision, batch size, bootstrap.
        progress: Called with images done and images in all.
        ranks: The processes that divide the images; the first one writes.

    Raises:
        DataError: The run was trained on some of the scored images, its gamma was chosen on some of them, or it is a
            run of another data set.

    """
    device = choose_device(settings.gpu, ranks.local)
    model, metadata = load_checkpoint(run.best, device=device)
    check_same_benchmark(metadata, benchmark)
    settings_of_run = run.settings()
    split = benchmark.split(settings_of_run.train.fold)
    indices = np.concatenate([split.seen, split.unseen])
    check_zero_shot(metadata, [benchmark.classes[label] for label in split.unseen_classes])
    images = [benchmark.images[index] for index in indices]
    check_untouched(run, images)
    development = run.development() if settings_of_run.train.fold is None else None
    if development is not None:
        check_gamma(run, images)
    predictor = Predictor(
        model,
        Transform(metadata.image_size),
        Normalisation(metadata.mean, metadata.std),
        device,
        choose_dtype(settings.precision, device),
        settings.eval.batch_size,
        settings.data.workers,
        ranks,
    )
    measured = settings.eval.selection and model.recipe.passes == "both"
    groups = part_groups(benchmark) if model.recipe.head == "windows" else None
    predictions = predictor.predict(
        benchmark,
        indices,
        source_scores=measured,
        peaks_of=None if groups is None else groups.chosen,
        progress=progress,
    )
    of_classes = scored(benchmark, split, predictions, model.recipe)
    evaluation = evaluate(
        of_classes,
        gamma=development["gamma"] if development else None,
        resamples=settings.eval.bootstrap,
        seed=settings.seed,
    )
    geometry, shape = Geometry(predictor.transform.resize, metadata.image_size), model.grid.window_shape
    truth = object_truth(benchmark, indices, geometry, shape) if measured or groups is not None else None
    maps = {}
    if groups is not None and predictions.peaks is not None:
        maps = localisation(benchmark, indices, predictions.peaks, groups, truth, geometry, shape)
    document = {
        "dataset": benchmark.name,
        "run": run.name,
        "recipe": metadata.recipe,
        "epoch": metadata.epoch,
        "split": split.name,
        **evaluation.document(),
        "selection": selection(model, predictions, truth) if measured else {},
        "localisation": maps,
        "warnings": [
            *([partial_warning(benchmark)] if benchmark.missing else []),
            *predictions.notes,
            *evaluation.warnings,
        ],
    }
    if development is not None:
        document["development"] = development
    if benchmark.missing:
        document["missing_images"] = len(benchmark.missing)
    if ranks.is_first:
        run.save_json("eval/metrics.json", document)
    return Measured(document, evaluation, split, predictions, of_classes, model, metadata)


def check_same_benchmark(metadata: Metadata, benchmark: Benchmark) -> None:
    """Raise DataError unless the model was trained on these classes and attributes."""
    for what, trained, found in (
        ("attributes", metadata.attributes, benchmark.attributes),
        ("classes", metadata.classes, benchmark.classes),
    ):
        if tuple(trained) != found:
            raise DataError(
                f"the run was trained on other {what} than {benchmark.name} has now",
                why=f"{len(trained)} then, {len(found)} now"
                if len(trained) != len(found)
                else "their names or order differ",
                todo="restore the data set, or train again",
            )
    if metadata.class_attributes_sha256 not in ("", sha256_of(benchmark.class_attributes)):
        raise DataError(
            f"the class attributes of {benchmark.name} have changed since the run was trained",
            todo="restore attributes.csv, or train again",
        )


def check_zero_shot(metadata: Metadata, unseen_classes: Sequence[str]) -> None:
    """Raise DataError if the model was trained on a class that is scored as unseen."""
    shared = sorted(set(metadata.seen_classes).intersection(unseen_classes))
    if shared:
        raise DataError(
            f"the run was trained on {len(shared)} of the {len(unseen_classes)} classes that are unseen now",
            why=", ".join(shared[:5]),
            todo="restore the split, or train again",
        )


def check_untouched(run: Run, scored_images: list[str]) -> None:
    """Raise DataError if the run was trained on any of these images."""
    shared = sorted(run.training_images().intersection(scored_images))
    if shared:
        raise DataError(
            f"{run.name} was trained on {len(shared)} of the {len(scored_images)} images it would be scored on",
            why=f"for instance {shared[0]}; its accuracy on them would mean nothing",
            todo="train again on this split",
        )


def check_gamma(run: Run, scored_images: list[str]) -> None:
    """Raise DataError if the run's gamma was chosen on any of these images, whatever its development runs are called."""
    shared = sorted(run.validation_images().intersection(scored_images))
    if shared:
        raise DataError(
            f"the gamma of {run.name} was chosen on {len(shared)} of the {len(scored_images)} images it would be scored on",
            why=f"for instance {shared[0]}; gzsl-calibrated would be gzsl-oracle under another name",
            todo="train development runs and the final run again on this split",
        )
