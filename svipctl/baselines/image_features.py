"""Features of images for the baselines: the mean patch of the pretrained backbone, before the method has changed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.features import FeaturePlan, Features, make_features
from svipctl.datasets.packed_pixels import images_packed
from svipctl.errors import ConfigError
from svipctl.inference.stem_features import feature_plan, prepare_stem_features, trainval_files
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import mean_patch_tokens, stem_of
from svipctl.model.ridge import Floats
from svipctl.model.weights import tensors_sha256
from svipctl.settings.schema import Settings
from svipctl.training.setup import prepare
from svipctl.types import ProgressCallback, Workers

_AT_ONCE = 256
_TRAINING = "fitted to images and their mirror images"


@dataclass(frozen=True)
class ImageFeatures:
    """Features of a data set's images under the transform of evaluation, and of the mirror images of trainval."""

    model: TrainedModel
    """The backbone that gave them."""
    what: str
    """Description of what a row is the mean of."""
    kept: Features
    mirrored: Features
    files: tuple[str, ...]

    def of(self, indices: Indices) -> Floats:
        """Return the features (n, d) of images by index."""
        return self._means(self.kept, indices)

    def of_mirrored(self, indices: Indices) -> Floats:
        """Return the features (n, d) of the mirror images of images of trainval, by index."""
        return self._means(self.mirrored, indices)

    def _means(self, kept: Features, indices: Indices) -> Floats:
        files = [self.files[index] for index in indices]
        means = []
        for start in range(0, len(files), _AT_ONCE):
            rows = kept.gather(files[start : start + _AT_ONCE])
            means.append(rows.reshape(len(rows), -1, rows.shape[-1]).mean(dim=1, dtype=torch.float64).numpy())
        return np.concatenate(means)


def image_features(settings: Settings, benchmark: Benchmark, progress: ProgressCallback | None = None) -> ImageFeatures:
    """Return the features of all images and of trainval's mirror images, kept next to the images once computed.

    A hybrid's are the mean over the positions of its stem's feature map, the very features that training with a frozen
    stem reads (`svipctl.inference.stem_features`); those of a plain Vision Transformer the mean of the patch tokens after its
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
    model = prepare(_of_backbone_alone(settings), benchmark).model
    workers = settings.data.workers
    if stem_of(model.network.backbone) is not None:
        transform = replace(model.transform, augment="flip")
        stem = prepare_stem_features(model, benchmark, transform, workers=workers, progress=progress)
        assert stem.mirrored is not None
        what = f"mean over positions of the stem's feature map; {_TRAINING}"
        return ImageFeatures(model, what, stem.plain, stem.mirrored, benchmark.images)

    def make(*, mirrored: bool) -> Features:
        def rows(files: Sequence[str]) -> Iterator[Tensor]:
            return _rows(model, benchmark, benchmark.positions(files), mirrored, workers)

        return make_features(_plan(model, benchmark, mirrored=mirrored), rows, progress)

    plain, mirrored = make(mirrored=False), make(mirrored=True)
    what = f"mean patch token of the backbone; {_TRAINING}"
    return ImageFeatures(model, what, plain, mirrored, benchmark.images)


def _of_backbone_alone(settings: Settings) -> Settings:
    """Return the settings without what only the method needs: word vectors, boxes, a loop over epochs."""
    switches = {"context": "none", "selection": "learned", "attention_queries": "free"}
    method = settings.method.model_copy(update=switches)
    resize = settings.data.evaluation_resize
    data = settings.data.model_copy(update={"augment": "none", "keep_features": False, "resize": resize})
    return settings.model_copy(update={"method": method, "data": data})


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
