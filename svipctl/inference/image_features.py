"""Compute features of a data set's images, the mean patch of a backbone, and cache them next to the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.feature_rows import match_features
from svipctl.datasets.features import FeaturePlan, Features, TableFeatures, make_features
from svipctl.datasets.packed_pixels import images_packed
from svipctl.inference.backbone_model import backbone_model
from svipctl.inference.stem_features import feature_plan, prepare_stem_features, trainval_files
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import mean_patch_tokens
from svipctl.model.ridge import Floats
from svipctl.model.weights import tensors_sha256
from svipctl.settings.schema import Settings
from svipctl.types import ProgressCallback, Workers

_AT_ONCE = 256
_UNKNOWN = "it is not known if the network behind the file of features was trained on unseen classes"


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
    (`svipctl.inference.stem_features`).

    Args:
        model: The network and its transform.
        benchmark: Data set of the images.
        workers: Processes that decode images.
        progress: Called with images done and images in total when features are computed.

    Raises:
        DataError: An image is missing or does not decode.
        ResourceError, ConfigError: The features cannot be written.

    """

    def make(*, mirrored: bool) -> Features:
        def rows(files: Sequence[str]) -> Iterator[Tensor]:
            return _rows(model, benchmark, benchmark.positions(files), mirrored, workers)

        return make_features(_plan(model, benchmark, mirrored=mirrored), rows, progress)

    if model.embeds_stem:
        transform = replace(model.transform, augment="flip")
        stem = prepare_stem_features(model, benchmark, transform, workers=workers, progress=progress)
        plain, mirrored = stem.plain, stem.mirrored
        assert mirrored is not None
    else:
        plain, mirrored = make(mirrored=False), make(mirrored=True)
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


def _means(kept: Features | TableFeatures, files: Sequence[str]) -> NDArray[np.float32]:
    """Return the mean over the positions of cached features: (n, D)."""
    means = []
    for start in range(0, len(files), _AT_ONCE):
        rows = kept.gather(files[start : start + _AT_ONCE])
        means.append(rows.reshape(len(rows), -1, rows.shape[-1]).mean(dim=1, dtype=torch.float64).float().numpy())
    return np.concatenate(means)


def _plan(model: TrainedModel, benchmark: Benchmark, *, mirrored: bool) -> FeaturePlan:
    backbone = model.network.backbone
    sha256 = tensors_sha256(backbone)
    stamp = {"backbone": sha256, "precision": str(model.dtype)}
    return feature_plan(
        model,
        benchmark,
        model.geometry,
        kind="-mean-patch-mirrored" if mirrored else "-mean-patch",
        stamp=stamp | {"mirrored": True} if mirrored else stamp,
        files=trainval_files(benchmark) if mirrored else images_packed(benchmark, model.geometry),
        shape=(int(backbone.num_features),),
        sha256=sha256,
        dtype=torch.float32,
    )


def _rows(
    model: TrainedModel, benchmark: Benchmark, indices: Indices, mirrored: bool, workers: Workers
) -> Iterator[Tensor]:
    """Yield the mean patch tokens (B, D) of images in order."""
    inputs = dataset_inputs(model, benchmark, indices, mirrored=mirrored, workers=workers)
    with closing(inputs):
        for _, images in inputs:
            with model.inference() as network:
                tokens = mean_patch_tokens(network.backbone, images)
            yield tokens
