"""Evaluating a checkpoint rather than a run: a file of the published code, or a folder of ours, perhaps from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import NORMALISATIONS, Normalisation, Transform
from svipctl.device import use_device
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.errors import ConfigError
from svipctl.evaluation.leakage import check_run, check_zero_shot, warnings_of_choice, warnings_of_start
from svipctl.inference.network import check_same_benchmark, network_for
from svipctl.evaluation.protocols import Evaluation
from svipctl.evaluation.run import Scorable, measure
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.inference.checkpoint import load_checkpoint
from svipctl.inference.weights_file import TrainedWeights, put_into, read_trained
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.types import ProgressCallback


def evaluate_checkpoint(
    path: Path, benchmark: Benchmark, settings: Settings, progress: ProgressCallback | None = None, ranks: Ranks = ALONE
) -> tuple[dict[str, Any], Evaluation]:
    """Score a checkpoint; nothing is written.

    Args:
        path: As for `read_trained`.
        benchmark: With the attributes that the checkpoint was trained with.
        settings: Of the evaluation, and as for `scorable_checkpoint`.
        progress: Called with images done and images in all.
        ranks: The processes that divide the images.

    Returns:
        The documented JSON (percent), and the evaluation behind it.

    Raises:
        ConfigError, DataError: As `scorable_checkpoint`.

    """
    device = use_device(settings.gpu, ranks.local)
    subject = scorable_checkpoint(path, benchmark, settings, device)
    measured = measure(subject, benchmark, settings, device, progress, ranks)
    return measured.document, measured.evaluation


def scorable_checkpoint(path: Path, benchmark: Benchmark, settings: Settings, device: torch.device) -> Scorable:
    """A checkpoint's network, to be scored on the test images, or on the validation images of its development run.

    Its warnings say so where nobody knows which images the network was trained on.

    Args:
        path: As for `read_trained`.
        benchmark: With the attributes that the checkpoint was trained with.
        settings: For a file of the published code backbone, window and recipe, and the normalisation: ImageNet's where the
            setting leaves it to the weights.
        device: Where it is put.

    Raises:
        ConfigError: Nothing says how its images were normalised.
        DataError: The file is unusable, does not fit the network, or was trained on classes that are scored as unseen.

    """
    weights = read_trained(path)
    run = run_of(weights)
    split = benchmark.split(run.settings().train.fold if run else None)
    warnings, development = notes_on(weights), None
    if run is not None:
        development = check_run(run, benchmark, split, of_best=weights.path.resolve() == run.best.resolve())
    else:
        warnings.append(
            f"which images {weights.name} was trained on is not known: whether it saw the scored ones cannot be checked"
        )
    if weights.metadata is not None:
        model, metadata = load_checkpoint(weights.path)
        check_same_benchmark(metadata, benchmark)
        check_zero_shot(metadata, [benchmark.classes[label] for label in split.unseen_classes])
        if run is not None:
            warnings += warnings_of_choice(run, metadata)
        warnings += warnings_of_start(metadata.backbone_weights)
        recipe, normalise = metadata.recipe, Normalisation(metadata.mean, metadata.std)
        transform = Transform(metadata.image_size)
    else:
        backbone = create_backbone(settings.model.backbone, settings.model.backbone_args)
        if "context.to_patch.weight" in weights.state:  # whatever the preset of a folder without words says
            method = settings.method.model_copy(update={"context": "words"})
            settings = settings.model_copy(update={"method": method})
        model = network_for(settings, benchmark, backbone)
        put_into(model, weights)
        recipe, normalise = settings.recipe, normalisation_of(weights, settings)
        transform = Transform(image_size_of(backbone))
    return Scorable(
        model.to(device).eval(),
        transform,
        normalise,
        split,
        recipe,
        weights.epoch,
        development=development,
        checkpoint={"file": weights.name, "sha256": weights.sha256},
        warnings=tuple(warnings),
    )


def run_of(weights: TrainedWeights) -> Run | None:
    """The run whose checkpoint it is."""
    run = Run(weights.path.resolve().parent.parent)
    return run if weights.metadata is not None and (run.folder / "config.toml").exists() else None


def normalisation_of(weights: TrainedWeights, settings: Settings) -> Normalisation:
    """What a file without metadata was trained with: ImageNet's, as published, unless the configuration says another."""
    name = settings.data.normalise
    if name == "weights" and not weights.published:
        raise ConfigError(
            f"{weights.name} does not say how its images were normalised",
            why=f"its {weights.path.with_name('metadata.json').name} is not beside it",
            todo="--set data.normalise=imagenet or half",
        )
    return NORMALISATIONS["imagenet" if name == "weights" else name]


def notes_on(weights: TrainedWeights) -> list[str]:
    """What the user should know about a file."""
    if not weights.ignored:
        return []
    return [f"unused in {weights.name} and ignored: {', '.join(weights.ignored)}"]
