"""Compute the output of a frozen part of a network once per image, and cache it on disk next to the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.features import Features, make_features, plan_features
from svipctl.datasets.images import Geometry
from svipctl.datasets.packed_pixels import images_packed, stamp_of
from svipctl.datasets.store import StorePlan
from svipctl.device import arithmetic_name
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import mean_patch_tokens, stem_features, stem_of
from svipctl.model.weights import tensors_sha256
from svipctl.types import ProgressCallback, Workers

_NAMED = 12  # digits of a digest in a folder's name


@dataclass(frozen=True)
class FrozenPart:
    """A part of a network whose output for an image is one row of features."""

    kind: str
    """Part of the folder's name."""
    sha256: str
    """SHA-256 of the weights."""
    stamp: dict[str, Any]
    """Everything that the rows depend on apart from the images and their transform."""
    shape: tuple[int, ...]
    """Shape of a row."""
    dtype: torch.dtype
    compute: Callable[[VisionTransformer, Tensor], Tensor]
    """Function from the backbone and images (B, 3, H, W) to rows (B, *shape)."""


def stem_part(model: TrainedModel) -> FrozenPart:
    """Return the stem of a hybrid; a row is its feature map (rows, columns, channels)."""
    stem, embed = stem_of(model.network.backbone), model.network.backbone.patch_embed
    assert stem is not None
    sha256 = tensors_sha256(stem)
    return FrozenPart(
        kind="",
        sha256=sha256,
        stamp={"stem": sha256, "mirrored": False},
        shape=(*(int(side) for side in embed.feature_size), int(embed.feature_dim)),
        dtype=model.dtype,
        compute=lambda backbone, images: stem_features(backbone, images).permute(0, 2, 3, 1),
    )


def backbone_part(model: TrainedModel) -> FrozenPart:
    """Return the whole backbone; a row is its mean patch token (D,)."""
    sha256 = tensors_sha256(model.network.backbone)
    return FrozenPart(
        kind="-mean-patch",
        sha256=sha256,
        stamp={"backbone": sha256, "precision": str(model.dtype)},
        shape=(int(model.network.backbone.num_features),),
        dtype=torch.float32,
        compute=mean_patch_tokens,
    )


def trainval_files(benchmark: Benchmark) -> tuple[str, ...]:
    """Return the images whose mirror images are needed: those of trainval, in the order of the data set."""
    return tuple(benchmark.files(np.sort(benchmark.trainval)))


def feature_plan(
    model: TrainedModel, benchmark: Benchmark, part: FrozenPart, geometry: Geometry, *, mirrored: bool = False
) -> StorePlan:
    """Return the folder of cached features, of the images or of trainval's mirror images, and their stamp."""
    stamp = part.stamp | ({"mirrored": True} if mirrored else {})
    stamp |= {
        "images": stamp_of(benchmark, geometry),
        "mean": list(model.normalise.mean),
        "std": list(model.normalise.std),
        "device": model.device.type,
    }
    kind = part.kind + ("-mirrored" if mirrored else "")
    name = f"{geometry.key}{kind}-{arithmetic_name(model.dtype, model.device)}-{part.sha256[:_NAMED]}"
    files = trainval_files(benchmark) if mirrored else images_packed(benchmark, geometry)
    return plan_features(benchmark.root / "features" / name, stamp, files, part.shape, part.dtype)


def cached_features(
    model: TrainedModel,
    benchmark: Benchmark,
    part: FrozenPart,
    geometry: Geometry,
    *,
    mirrored: bool = False,
    workers: Workers = 0,
    progress: ProgressCallback | None = None,
) -> Features:
    """Return the features of the images, or of trainval's mirror images, computing those that are not cached yet.

    Args:
        model: Model of the part.
        benchmark: Data set of the images.
        part: The part from `stem_part` or `backbone_part`.
        geometry: Geometry of the pixels.
        mirrored: Flip all images horizontally.
        workers: Processes that decode images.
        progress: Called with images done and images in total when features are computed.

    Raises:
        DataError: An image is missing or does not decode.
        ResourceError, ConfigError: The features cannot be written.

    """

    def rows(files: Sequence[str]) -> Iterator[Tensor]:
        wanted = benchmark.positions(files)
        inputs = dataset_inputs(model, benchmark, wanted, geometry=geometry, mirrored=mirrored, workers=workers)
        with closing(inputs):
            for _, images in inputs:
                with model.inference() as network:
                    batch = part.compute(network.backbone, images)
                yield batch

    return make_features(feature_plan(model, benchmark, part, geometry, mirrored=mirrored), rows, progress)
