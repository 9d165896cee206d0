"""Evaluating a trained run: load, predict, score, and keep the result beside the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.datasets.official import partial_warning
from svipctl.datasets.workers import explained_lost_workers
from svipctl.device import choose_dtype, precision_name, use_device
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.evaluation.leakage import check_run, check_zero_shot, warnings_of_choice, warnings_of_start
from svipctl.evaluation.localisation import localisation, part_groups
from svipctl.evaluation.network import check_same_benchmark
from svipctl.evaluation.per_class import class_document
from svipctl.evaluation.predict import Predictions, Predictor
from svipctl.evaluation.protocols import Evaluation, Scored, evaluate
from svipctl.evaluation.score import scored, selection
from svipctl.evaluation.truth import object_truth
from svipctl.model.checkpoint import load_checkpoint
from svipctl.model.svip import SVIP
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.types import ProgressCallback


@dataclass(frozen=True)
class Scorable:
    """A network that may be scored on a split: every check of `svipctl.evaluation.leakage` has passed."""

    model: SVIP
    transform: Transform
    normalise: Normalisation
    split: Split
    recipe: str
    epoch: int
    run: str | None = None
    development: Mapping[str, Any] | None = None
    """What a final run takes from development runs: `gamma` among it."""
    checkpoint: Mapping[str, str] | None = None
    """File and SHA-256, where no run was named."""
    warnings: tuple[str, ...] = ()

    @property
    def gamma(self) -> float | None:
        """Chosen on validation images."""
        return None if self.development is None else float(self.development["gamma"])


@dataclass(frozen=True)
class Measured:
    """An evaluation with all that it was made from."""

    document: dict[str, Any]
    """The documented JSON (percent)."""
    evaluation: Evaluation
    predictions: Predictions
    """Of the scored images: seen ones first, then unseen ones."""
    scored: Scored
    classes: tuple[str, ...]
    """Names of the split's classes, the columns of `scored.scores`."""
    subject: Scorable

    @property
    def split(self) -> Split:
        """Whose images were scored."""
        return self.subject.split


def evaluate_run(
    run: Run, benchmark: Benchmark, settings: Settings, progress: ProgressCallback | None = None, ranks: Ranks = ALONE
) -> tuple[dict[str, Any], Evaluation]:
    """`measure_run` for whoever needs the numbers only: the documented JSON and the evaluation behind it."""
    measured = measure_run(run, benchmark, settings, progress, ranks)
    return measured.document, measured.evaluation


def measure_run(
    run: Run, benchmark: Benchmark, settings: Settings, progress: ProgressCallback | None = None, ranks: Ranks = ALONE
) -> Measured:
    """Score a run's best checkpoint and write `eval/metrics.json`.

    Args:
        run: A run of that benchmark.
        benchmark: With the same classes and attributes as in training.
        settings: Of the evaluation: device, precision, batch size, bootstrap.
        progress: Called with images done and images in all.
        ranks: The processes that divide the images; the first one writes.

    Raises:
        ConfigError, DataError: As `scorable_run`.

    """
    device = use_device(settings.gpu, ranks.local)
    measured = measure(scorable_run(run, benchmark, device), benchmark, settings, device, progress, ranks)
    if ranks.is_first:
        run.save_json("eval/metrics.json", measured.document)
    return measured


def scorable_run(run: Run, benchmark: Benchmark, device: torch.device) -> Scorable:
    """A run's best checkpoint, and what it is scored on.

    That is the test images for a final run; for a development run the validation images of its fold, so that nothing is
    ever chosen on test.

    Raises:
        ConfigError: The run is a baseline.
        DataError: The run was trained on some of the scored images, its gamma was chosen on some of them, or it is a
            run of another data set.

    """
    run.require_network()
    model, metadata = load_checkpoint(run.best, device=device)
    check_same_benchmark(metadata, benchmark)
    split = benchmark.split(run.settings().train.fold)
    check_zero_shot(metadata, [benchmark.classes[label] for label in split.unseen_classes])
    development = check_run(run, benchmark, split, of_best=True)
    return Scorable(
        model,
        Transform(metadata.image_size),
        Normalisation(metadata.mean, metadata.std),
        split,
        metadata.recipe,
        metadata.epoch,
        run.name,
        development=development,
        warnings=(
            *_unfinished(run, metadata.epoch),
            *warnings_of_choice(run, metadata),
            *warnings_of_start(metadata.backbone_weights),
        ),
    )


@explained_lost_workers("run the same command again")
def measure(
    subject: Scorable,
    benchmark: Benchmark,
    settings: Settings,
    device: torch.device,
    progress: ProgressCallback | None = None,
    ranks: Ranks = ALONE,
) -> Measured:
    """Predict the images of its split and score them; nothing is written."""
    dtype = choose_dtype(settings.precision, device)
    predictor = Predictor(
        subject.model,
        subject.transform,
        subject.normalise,
        device,
        dtype,
        settings.eval.batch_size,
        settings.data.workers,
        ranks,
    )
    model, split = subject.model, subject.split
    measured = settings.eval.selection and model.recipe.passes == "both"
    groups = part_groups(benchmark) if model.recipe.head == "windows" else None
    indices = np.concatenate([split.seen, split.unseen])
    predictions = predictor.predict(
        benchmark,
        indices,
        source_scores=measured,
        peaks_of=None if groups is None else groups.chosen,
        progress=progress,
    )
    of_classes = scored(benchmark, split, predictions, model.recipe)
    evaluation = evaluate(
        of_classes, gamma=subject.gamma, resamples=settings.eval.bootstrap, seed=settings.seed, split=split.name
    )
    geometry, shape = Geometry(subject.transform.resize, subject.transform.size), model.grid.window_shape
    truth = object_truth(benchmark, indices, geometry, shape) if measured or groups is not None else None
    maps = {}
    if groups is not None and predictions.peaks is not None:
        maps = localisation(benchmark, indices, predictions.peaks, groups, truth, geometry, shape)
    names = tuple(benchmark.classes[label] for label in split.classes)
    document: dict[str, Any] = {
        "dataset": benchmark.name,
        "run": subject.run,
        "recipe": subject.recipe,
        "epoch": subject.epoch,
        "split": split.name,
        "settings": {
            "precision": precision_name(dtype),
            "bootstrap": settings.eval.bootstrap,
            "selection": settings.eval.selection,
        },
        **evaluation.document(),
        **class_document(evaluation, names),
        "selection": selection(model, predictions, truth) if measured else {},
        "localisation": maps,
        "warnings": [
            *([partial_warning(benchmark)] if benchmark.missing else []),
            *subject.warnings,
            *predictions.notes,
            *evaluation.warnings,
        ],
    }
    if benchmark.missing:
        document["missing_images"] = len(benchmark.missing)
    origin = {"development": subject.development, "checkpoint": subject.checkpoint}
    document |= {key: dict(value) for key, value in origin.items() if value is not None}
    return Measured(document, evaluation, predictions, of_classes, names, subject)


def _unfinished(run: Run, epoch: int) -> list[str]:
    if run.finished:
        return []
    return [f"{run.name} is unfinished: this is its state after epoch {epoch} of {run.settings().train.epochs}"]
