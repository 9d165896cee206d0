"""Compute features of a frozen stem once per image, and cache them on disk for training, evaluation and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.feature_file import FeatureFile, read_feature_file
from svipctl.datasets.feature_rows import match_features
from svipctl.datasets.features import FeaturePlan, Features, StemFeatures, TableFeatures, find_features, make_features
from svipctl.datasets.images import Geometry, Transform
from svipctl.datasets.packed_pixels import images_packed, stamp_of
from svipctl.device import arithmetic_name
from svipctl.errors import ConfigError, DataError
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import stem_features, stem_of
from svipctl.model.weights import tensors_sha256
from svipctl.types import FEATURES, ProgressCallback, Workers

_NAMED = 12  # digits of a digest in a folder's name


def find_stem_features(model: TrainedModel, benchmark: Benchmark, *, mirrored: bool = False) -> StemFeatures | None:
    """Return the cached features of the images, or of their mirror images, under the transform of evaluation.

    None if they are not cached, or the backbone has no stem. A network on features of a file uses `model.features`, or
    else the file of its run.

    Raises:
        ConfigError: It is a network on features of a file, and no file is known.
        DataError: The file is missing, damaged, or has other features or images.

    """
    if model.metadata.backbone == FEATURES:
        kept = model.features or features_of_file(read_feature_file(_file_of_run(model)), benchmark, model.metadata)
        rows = kept.mirrored if mirrored else kept.plain
        assert rows is not None, "no mirror images, and training does not flip without"
        return StemFeatures(rows)
    if stem_of(model.network.backbone) is None or not (benchmark.root / "features").is_dir():
        return None
    found = find_features(_plan(model, benchmark, model.geometry, mirrored=mirrored))
    return StemFeatures(found) if found else None


def prepare_stem_features(
    model: TrainedModel,
    benchmark: Benchmark,
    transform: Transform,
    *,
    workers: Workers = 0,
    progress: ProgressCallback | None = None,
) -> StemFeatures:
    """Return the features for a transform without random crops, computing those that are not cached yet.

    Features for the transform of evaluation are computed too.

    Args:
        model: Model with a stem.
        benchmark: Data set of the images.
        transform: Transform of training.
        workers: Processes that decode images.
        progress: Called with images done and images in total, for each set of features that is computed.

    Raises:
        DataError: An image is missing or does not decode.
        ResourceError, ConfigError: The features cannot be written.

    """

    def make(geometry: Geometry, *, mirrored: bool = False) -> Features:
        def rows(files: Sequence[str]) -> Iterator[Tensor]:
            return _rows(model, benchmark, geometry, benchmark.positions(files), mirrored, workers)

        return make_features(_plan(model, benchmark, geometry, mirrored=mirrored), rows, progress)

    geometry = transform.training_geometry
    features = StemFeatures(make(geometry), make(geometry, mirrored=True) if transform.augment != "none" else None)
    if geometry != model.geometry:
        make(model.geometry)
    return features


def with_features(model: TrainedModel, benchmark: Benchmark, file: FeatureFile | None) -> TrainedModel:
    """Return the model with the features of a file instead of those that its run names; as it is without a file.

    Raises:
        ConfigError: It is a network on images.
        DataError: As `features_of_file`.

    """
    if file is None:
        return model
    if model.metadata.backbone != FEATURES:
        raise ConfigError("the network takes images, not features of a file", todo="omit --features")
    trained = model.metadata.backbone_weights
    same = file.sha256 == trained["sha256"]
    other = f"the network was trained on the features of {trained['source']}, not on those of {file.path}"
    kept = features_of_file(file, benchmark, model.metadata)
    return replace(model, features=kept, notes=model.notes if same else (*model.notes, other))


def features_of_file(file: FeatureFile, benchmark: Benchmark, metadata: Metadata) -> StemFeatures:
    """Return the features that a file has of a data set's images, for a network that was trained on such features.

    Raises:
        DataError: The file lacks images, gives them other classes, or has features of another width.

    """
    width = metadata.backbone_args["embed_dim"]
    if file.features.shape[1] != width:
        raise DataError(
            f"{file.path} has {file.features.shape[1]} features of an image, and the network takes {width}",
            why=f"it was trained on {metadata.backbone_weights['source']}",
            todo="name the file that it was trained on, or one of the same network: --features FILE",
        )
    found = match_features(file, benchmark)
    mirrored = None if found.mirrored is None else TableFeatures(trainval_files(benchmark), found.mirrored)
    return StemFeatures(TableFeatures(benchmark.images, found.plain), mirrored)


def _file_of_run(model: TrainedModel) -> Path:
    if model.run is None:
        raise ConfigError(
            "the file of features is not known",
            why="the network was trained on features of a file, and belongs to no run",
            todo="name the file: --features FILE",
        )
    return Path(model.run.settings().data.features)


def trainval_files(benchmark: Benchmark) -> tuple[str, ...]:
    """Return the images whose mirror images are needed: those of trainval, in the order of the data set."""
    return tuple(benchmark.images[index] for index in np.sort(benchmark.trainval))


def feature_plan(
    model: TrainedModel,
    benchmark: Benchmark,
    geometry: Geometry,
    *,
    kind: str,
    stamp: Mapping[str, Any],
    files: Sequence[str],
    shape: tuple[int, ...],
    sha256: str,
    dtype: Any,
) -> FeaturePlan:
    """Return the folder of the cached features, and the stamp of everything that they depend on."""
    common = {
        "images": stamp_of(benchmark, geometry),
        "mean": list(model.normalise.mean),
        "std": list(model.normalise.std),
        "device": model.device.type,
    }
    name = f"{geometry.key}{kind}-{arithmetic_name(model.dtype, model.device)}-{sha256[:_NAMED]}"
    return FeaturePlan(benchmark.root / "features" / name, {**stamp, **common}, tuple(files), shape, dtype)


def _plan(model: TrainedModel, benchmark: Benchmark, geometry: Geometry, *, mirrored: bool) -> FeaturePlan:
    stem = stem_of(model.network.backbone)
    assert stem is not None
    sha256 = tensors_sha256(stem)
    files = trainval_files(benchmark) if mirrored else images_packed(benchmark, geometry)
    embed = model.network.backbone.patch_embed
    return feature_plan(
        model,
        benchmark,
        geometry,
        kind="-mirrored" if mirrored else "",
        stamp={"stem": sha256, "mirrored": mirrored},
        files=files,
        shape=(*(int(side) for side in embed.feature_size), int(embed.feature_dim)),
        sha256=sha256,
        dtype=model.dtype,
    )


def _rows(
    model: TrainedModel, benchmark: Benchmark, geometry: Geometry, indices: Indices, mirrored: bool, workers: Workers
) -> Iterator[Tensor]:
    """Yield feature maps (B, rows, columns, channels) of the images in order."""
    inputs = dataset_inputs(model, benchmark, indices, geometry=geometry, mirrored=mirrored, workers=workers)
    with closing(inputs):
        for _, images in inputs:
            with model.inference() as network:
                features = stem_features(network.backbone, images)
            yield features.permute(0, 2, 3, 1).to(model.dtype)
