"""Provide the features of images and of their mirror images: of a backbone, cached, or of a file; and make such a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from svipctl.datasets.benchmark import PARTS, Benchmark, Indices
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.feature_rows import match_features
from svipctl.datasets.features import Features
from svipctl.device import precision_name
from svipctl.inference.feature_cache import backbone_part, cached_features, stem_part, trainval_files
from svipctl.inference.load import backbone_model
from svipctl.inference.ready_network import check_finite
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.ridge import Floats
from svipctl.settings.schema import Settings
from svipctl.types import ProgressCallback, Workers
from svipctl.version import __version__

_AT_ONCE = 256
_UNKNOWN = "it is not known if the network behind the feature file was trained on unseen classes"


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of a data set's images under the transform of evaluation, and of the mirror images of trainval."""

    plain: NDArray[np.float32]
    """(N, D)."""
    mirrored: NDArray[np.float32] | None
    """(T, D), of the mirror images of `trainval`; None if there are none."""
    trainval: Indices
    """(T,) images, ascending."""
    what: str
    """Description of a row."""
    weights: dict[str, str]
    """Source and SHA-256 of the backbone's weights, or of the file with the features."""
    device: torch.device
    """The device that they were computed on."""
    dtype: torch.dtype
    """The arithmetic that they were computed in."""
    warnings: tuple[str, ...] = ()
    """Reasons to doubt results with these features."""

    def of(self, indices: Indices) -> Floats:
        """Return the features (n, D) of images by index."""
        return self.plain[indices].astype(np.float64)

    def of_mirrored(self, indices: Indices) -> Floats | None:
        """Return the features (n, D) of the mirror images of images of trainval, by index; None if there are none."""
        if self.mirrored is None:
            return None
        return self.mirrored[np.searchsorted(self.trainval, indices)].astype(np.float64)


def image_features(settings: Settings, benchmark: Benchmark, progress: ProgressCallback | None = None) -> ImageFeatures:
    """Return the features of the settings' backbone, before the method has changed it.

    Args:
        settings: As for `backbone_model`; the method's switches do not matter.
        benchmark: Data set of the images.
        progress: Called with images done and images in total when features are computed.

    Raises:
        ConfigError, DataError, NetworkError, ResourceError: As for `backbone_model` and `dataset_features`.

    """
    return dataset_features(backbone_model(settings), benchmark, workers=settings.data.workers, progress=progress)


def features_from_file(file: FeatureFile, benchmark: Benchmark) -> ImageFeatures:
    """Return the features of a data set's images from a file.

    Raises:
        DataError: The file lacks images of the split, or has other classes for them.

    """
    found = match_features(file, benchmark)
    source = file.about.get("weights", {}).get("source")
    return ImageFeatures(
        found.plain,
        found.mirrored,
        np.sort(benchmark.trainval),
        file.what,
        {"source": file.path.name, "sha256": file.sha256},
        torch.device("cpu"),
        torch.float32,
        warnings=(_UNKNOWN,) if source is None else _warnings(source),
    )


def dataset_features(
    model: TrainedModel, benchmark: Benchmark, *, workers: Workers = 0, progress: ProgressCallback | None = None
) -> ImageFeatures:
    """Return the features of all images and of trainval's mirror images, as `TrainedModel.embed`.

    Those of a stem are computed from the same feature maps that training with a frozen stem reads
    (`svipctl.inference.feature_cache`).

    Args:
        model: The network and its transform.
        benchmark: Data set of the images.
        workers: Processes that decode images.
        progress: Called with images done and images in total when features are computed.

    Raises:
        DataError: An image is missing or does not decode.
        ResourceError, ConfigError: The features cannot be written.
        CheckFailed: A feature is not finite.

    """
    part = stem_part(model) if model.embeds_stem else backbone_part(model)
    cached = partial(cached_features, model, benchmark, part, model.geometry, workers=workers, progress=progress)
    plain, mirrored = cached(), cached(mirrored=True)
    return ImageFeatures(
        _means(plain, benchmark.images),
        _means(mirrored, trainval_files(benchmark)),
        np.sort(benchmark.trainval),
        model.embedding,
        model.metadata.backbone_weights,
        model.device,
        model.dtype,
        warnings=_warnings(model.metadata.backbone_weights["source"]),
    )


def _warnings(source: str) -> tuple[str, ...]:
    return ("the backbone has random weights, so these are random features",) if source == "none" else ()


def _means(kept: Features, files: Sequence[str]) -> NDArray[np.float32]:
    """Return the mean over the positions of cached features, (n, D); raise CheckFailed if they are not finite."""
    means = []
    for start in range(0, len(files), _AT_ONCE):
        rows = kept.gather(files[start : start + _AT_ONCE])
        mean = rows.reshape(len(rows), -1, rows.shape[-1]).mean(dim=1, dtype=torch.float64).float()
        means.append(check_finite(mean, "features").numpy())
    return np.concatenate(means)


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
