"""Features of a frozen stem, computed once per image and kept on disk for training, evaluation and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.features import FeaturePlan, Features, find_features, make_features
from svipctl.datasets.images import Geometry, Transform
from svipctl.datasets.packed_pixels import images_packed, stamp_of
from svipctl.device import arithmetic_name
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import stem_features, stem_of
from svipctl.model.weights import tensors_sha256
from svipctl.types import ProgressCallback, Workers

_NAMED = 12  # digits of a digest in a folder's name


@dataclass(frozen=True)
class StemFeatures:
    """Features of the images of a data set in one geometry, and of their mirror images where training mirrors."""

    plain: Features
    mirrored: Features | None = None

    def gather(self, files: Sequence[str], mirror: Tensor | None = None, *, pin_memory: bool = False) -> Tensor:
        """Return the feature maps (B, channels, rows, columns) of these images.

        Args:
            files: As the data set names them.
            mirror: (B,) True for images that are mirrored; none by default.
            pin_memory: For a GPU, so that the copy does not wait.

        """
        rows = self.plain.gather(files, pin_memory=pin_memory)
        if self.mirrored is not None and mirror is not None and mirror.any():
            rows[mirror] = self.mirrored.gather([file for file, is_mirrored in zip(files, mirror) if is_mirrored])
        return rows.permute(0, 3, 1, 2)


def find_stem_features(model: TrainedModel, benchmark: Benchmark, *, mirrored: bool = False) -> StemFeatures | None:
    """Return the kept features of the images, or of their mirror images, under the transform of evaluation.

    None if there are none, or the backbone has no stem.
    """
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
    """Return the features for a transform that takes no random crops, computing those that are not kept yet.

    Those of the transform of evaluation are computed too.

    Args:
        model: With a stem.
        benchmark: Where the images are.
        transform: Of training.
        workers: Processes that decode images.
        progress: Called with images done and images in all, for each set of features that is computed.

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
    """Return where features are kept, and the stamp that says what they depend on."""
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
