"""Compute a file of features (`svipctl.datasets.feature_file`) of a data set's images, or of any images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svipctl.datasets.benchmark import PARTS, Benchmark
from svipctl.datasets.feature_file import FeatureFile
from svipctl.device import precision_name
from svipctl.inference.image_features import dataset_features
from svipctl.inference.trained_model import TrainedModel
from svipctl.types import ProgressCallback, Workers
from svipctl.version import __version__


def embed_dataset(
    model: TrainedModel, benchmark: Benchmark, *, workers: Workers = 0, progress: ProgressCallback | None = None
) -> FeatureFile:
    """Return the features of a data set's images and of trainval's mirror images, with labels, classes and split.

    Arguments and errors: see `dataset_features`.
    """
    found = dataset_features(model, benchmark, workers=workers, progress=progress)
    return FeatureFile(
        images=benchmark.images,
        features=found.plain,
        labels=benchmark.labels,
        classes=benchmark.classes,
        parts={part: found.trainval if part == "trainval" else getattr(benchmark, part) for part in PARTS},
        mirrored=found.mirrored,
        about=describe_features(model) | {"dataset": benchmark.name},
    )


def embed_images(model: TrainedModel, images: Sequence[Path], progress: ProgressCallback | None = None) -> FeatureFile:
    """Return the features of image files, under their given names.

    Args:
        model: Model from `svipctl.load` or `backbone_model`.
        images: The files.
        progress: Called with images done and images in total.

    Raises:
        DataError: An image does not decode.

    """

    def of_all(done: int, total: int) -> None:
        if progress:
            progress(done, len(images))

    features = model.embed(images, progress=of_all)
    return FeatureFile(tuple(map(str, images)), features, about=describe_features(model))


def describe_features(model: TrainedModel) -> dict[str, Any]:
    """Return everything that the features of a model depend on apart from the images, for `about` of a file."""
    metadata = model.metadata
    run = None if model.run is None else model.run.name
    trained = {"source": f"run {run}" if run else "a checkpoint", "sha256": metadata.sha256}
    return {
        "svipctl": __version__,
        "features": model.embedding,
        "backbone": metadata.backbone,
        "backbone_args": metadata.backbone_args,
        "weights": metadata.backbone_weights if model.is_backbone_alone else trained,
        "run": run,
        "transform": {
            "image_size": metadata.image_size,
            "resize": metadata.resize,
            "mean": list(metadata.mean),
            "std": list(metadata.std),
        },
        "precision": precision_name(model.dtype),
    }
