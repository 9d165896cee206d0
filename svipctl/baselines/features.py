"""What the baselines see of an image: the mean patch of the pretrained backbone, before the method has changed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from svipctl.baselines.ridge import Floats
from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.features import FeaturePlan, Features, make_features
from svipctl.datasets.images import Geometry
from svipctl.datasets.loader import ImageDataset, batches
from svipctl.datasets.pixels import find_pack, images_packed, stamp_of
from svipctl.device import arithmetic_name, autocast
from svipctl.errors import ConfigError
from svipctl.evaluation.stem import StemRunner
from svipctl.model.backbone import embed_patches, encode, stem_of
from svipctl.model.fused_linear import KeptWeights
from svipctl.model.weights import tensors_sha256
from svipctl.settings.schema import Settings
from svipctl.training.setup import Setup, prepare
from svipctl.types import ProgressCallback

_BATCH = 64
_AT_ONCE = 256


@dataclass(frozen=True)
class ImageFeatures:
    """Of a benchmark's images, under the transform of evaluation."""

    setup: Setup
    what: str
    """What a row is the mean of, for people."""
    kept: Features
    files: tuple[str, ...]

    def of(self, indices: Indices) -> Floats:
        """(n, d) of images by index."""
        files = [self.files[index] for index in indices]
        return np.concatenate(
            [self._means(files[start : start + _AT_ONCE]) for start in range(0, len(files), _AT_ONCE)]
        )

    def _means(self, files: Sequence[str]) -> Floats:
        rows = self.kept.gather(files).double()
        return rows.reshape(len(rows), -1, rows.shape[-1]).mean(dim=1).numpy()


def image_features(settings: Settings, benchmark: Benchmark, progress: ProgressCallback | None = None) -> ImageFeatures:
    """The features of all images, read from beside the images or computed and kept there.

    A hybrid's are the mean over the positions of its stem's feature map, the very features that training with a frozen
    stem reads (`svipctl.evaluation.stem`); those of a plain Vision Transformer the mean of the patch tokens after its
    last norm.

    Args:
        settings: Backbone, weights, device and arithmetic; the method's switches do not matter.
        benchmark: Where the images are.
        progress: Called with images done and images in all when features are computed.

    Raises:
        ConfigError, DataError, ResourceError: As in training.

    """
    if settings.model.init_from:
        raise ConfigError(
            "a baseline has the features of pretrained weights, not of a trained network",
            why=f"model.init_from is {settings.model.init_from}, which may know images that a fold validates on",
            todo="leave it out; --weights FILE names a backbone's weights",
        )
    setup = prepare(_of_backbone_alone(settings), benchmark)
    geometry = setup.transform.for_evaluation.training_geometry
    if stem_of(setup.model.backbone) is not None:
        runner = StemRunner(setup.model, setup.normalise, setup.device, setup.dtype, settings.data.workers)
        stem = runner.prepare(benchmark, setup.transform.for_evaluation, progress)
        return ImageFeatures(setup, "mean over positions of the stem's feature map", stem.plain, benchmark.images)
    plan = _plan(setup, benchmark, geometry)
    kept = make_features(plan, partial(_rows, setup, benchmark, geometry, settings.data.workers), progress)
    return ImageFeatures(setup, "mean patch token of the backbone", kept, benchmark.images)


def _of_backbone_alone(settings: Settings) -> Settings:
    """Without what only the method needs: word vectors, boxes, mirrored features, a loop over epochs."""
    method = settings.method.model_copy(update={"context": "none", "selection": "learned"})
    data = settings.data.model_copy(update={"augment": "none", "resize": "shorter-side", "keep_features": False})
    return settings.model_copy(update={"method": method, "data": data})


def _plan(setup: Setup, benchmark: Benchmark, geometry: Geometry) -> FeaturePlan:
    backbone = setup.model.backbone
    sha256 = tensors_sha256(backbone)
    stamp = {
        "backbone": sha256,
        "images": stamp_of(benchmark, geometry),
        "mean": list(setup.normalise.mean),
        "std": list(setup.normalise.std),
        "device": setup.device.type,
        "precision": str(setup.dtype),
    }
    name = f"{geometry.key}-mean-patch-{arithmetic_name(setup.dtype, setup.device)}-{sha256[:12]}"
    files = images_packed(benchmark, geometry)
    return FeaturePlan(benchmark.root / "features" / name, stamp, files, (int(backbone.num_features),), torch.float32)


def _rows(
    setup: Setup, benchmark: Benchmark, geometry: Geometry, workers: int, files: Sequence[str]
) -> Iterator[Tensor]:
    packed, _ = find_pack(benchmark, geometry)
    place = {file: index for index, file in enumerate(benchmark.images)}
    indices = np.array([place[file] for file in files], dtype=np.int64)
    dataset = ImageDataset(benchmark, indices, setup.transform.for_evaluation, packed=packed)
    setup.model.eval()
    weights = KeptWeights()
    with closing(batches(dataset, _BATCH, workers=workers)) as loader:
        for batch in loader:
            yield _mean_patch(setup, batch.images, weights)


@torch.inference_mode()
def _mean_patch(setup: Setup, images: Tensor, weights: KeptWeights) -> Tensor:
    with autocast(setup.dtype, setup.device), weights.in_use():
        patches = embed_patches(setup.model.backbone, setup.normalise(images.to(setup.device)))
        tokens, _ = encode(setup.model.backbone, patches, keep_attention=False)
    return tokens.float().mean(dim=1)
