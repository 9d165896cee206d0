"""Provide the features that a frozen stem, or a network on features of a file, takes instead of images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import FeatureFile, read_feature_file
from svipctl.datasets.feature_rows import match_features
from svipctl.datasets.features import StemFeatures, TableFeatures, find_features
from svipctl.datasets.images import Transform
from svipctl.errors import ConfigError, DataError
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.feature_cache import cached_features, feature_plan, stem_part, trainval_files
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import stem_of
from svipctl.types import FEATURES, ProgressCallback, Workers


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
        assert rows is not None, "training flips only if the file has features of mirror images"
        return StemFeatures(rows)
    if stem_of(model.network.backbone) is None or not (benchmark.root / "features").is_dir():
        return None
    found = find_features(feature_plan(model, benchmark, stem_part(model), model.geometry, mirrored=mirrored))
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
    cached = partial(cached_features, model, benchmark, stem_part(model), workers=workers, progress=progress)
    geometry = transform.training_geometry
    features = StemFeatures(cached(geometry), cached(geometry, mirrored=True) if transform.augment != "none" else None)
    if geometry != model.geometry:
        cached(model.geometry)
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
        raise ConfigError(
            "--features cannot be used: this network takes images, not precomputed features", todo="omit --features"
        )
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
            f"{file.path} has {file.features.shape[1]} features per image, but this model takes {width}",
            why=f"the model was trained on the features of {metadata.backbone_weights['source']}",
            todo="pass --features FILE with that file, or one with features of the same backbone",
        )
    found = match_features(file, benchmark)
    mirrored = None if found.mirrored is None else TableFeatures(trainval_files(benchmark), found.mirrored)
    return StemFeatures(TableFeatures(benchmark.images, found.plain), mirrored)


def _file_of_run(model: TrainedModel) -> Path:
    if model.run is None:
        raise ConfigError(
            "the feature file of this network is unknown",
            why="it was trained on a feature file, and belongs to no run that records which one",
            todo="name the file: --features FILE",
        )
    return Path(model.run.settings().data.features)
