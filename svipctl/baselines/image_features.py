"""Features of images for the baselines: the mean patch of the pretrained backbone, before the method has changed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.features import FeaturePlan, Features, make_features
from svipctl.datasets.packed_pixels import images_packed
from svipctl.errors import ConfigError
from svipctl.inference.stem_features import feature_plan, prepare_stem_features
from svipctl.inference.stream import dataset_inputs
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import mean_patch_tokens, stem_of
from svipctl.model.ridge import Floats
from svipctl.model.weights import tensors_sha256
from svipctl.settings.schema import Settings
from svipctl.training.setup import prepare
from svipctl.types import ProgressCallback

_AT_ONCE = 256


@dataclass(frozen=True)
class ImageFeatures:
    """Features of a data set's images under the transform of evaluation."""

    model: TrainedModel
    """The backbone that gave them."""
    what: str
    """Description of what a row is the mean of."""
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
        stem = prepare_stem_features(model, benchmark, model.transform, workers=workers, progress=progress)
        return ImageFeatures(model, "mean over positions of the stem's feature map", stem.plain, benchmark.images)

    def rows(files: Sequence[str]) -> Iterator[Tensor]:
        return _rows(model, benchmark, benchmark.positions(files), workers)

    kept = make_features(_plan(model, benchmark), rows, progress)
    return ImageFeatures(model, "mean patch token of the backbone", kept, benchmark.images)


def _of_backbone_alone(settings: Settings) -> Settings:
    """Return the settings without what only the method needs: word vectors, boxes, mirrored features, a loop over epochs."""
    method = settings.method.model_copy(update={"context": "none", "selection": "learned"})
    resize = settings.data.evaluation_resize
    data = settings.data.model_copy(update={"augment": "none", "keep_features": False, "resize": resize})
    return settings.model_copy(update={"method": method, "data": data})


def _plan(model: TrainedModel, benchmark: Benchmark) -> FeaturePlan:
    backbone = model.network.backbone
    sha256 = tensors_sha256(backbone)
    return feature_plan(
        model,
        benchmark,
        model.geometry,
        kind="-mean-patch",
        stamp={"backbone": sha256, "precision": str(model.dtype)},
        files=images_packed(benchmark, model.geometry),
        shape=(int(backbone.num_features),),
        sha256=sha256,
        dtype=torch.float32,
    )


def _rows(model: TrainedModel, benchmark: Benchmark, indices: Indices, workers: int) -> Iterator[Tensor]:
    """Yield the mean patch tokens (B, D) of images in order."""
    inputs = dataset_inputs(model, benchmark, indices, workers=workers)
    with closing(inputs):
        for _, images in inputs:
            with model.inference() as network:
                tokens = mean_patch_tokens(network.backbone, images)
            yield tokens
