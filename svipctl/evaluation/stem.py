"""A frozen stem's features of a benchmark's images: computed once, then read by training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.features import FeaturePlan, Features, find_features, make_features
from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.datasets.loader import ImageDataset, batches
from svipctl.datasets.pixels import find_pack, images_packed, stamp_of
from svipctl.device import arithmetic_name, autocast
from svipctl.model.backbone import image_size_of, stem_features, stem_of
from svipctl.model.svip import SVIP
from svipctl.model.weights import tensors_sha256
from svipctl.types import ProgressCallback

_BATCH = 64
_NAMED = 12  # digits of a digest in a folder's name


@dataclass(frozen=True)
class StemFeatures:
    """The features of one geometry, and of its mirror images where training mirrors."""

    plain: Features
    mirrored: Features | None = None

    def gather(self, files: Sequence[str], mirror: Tensor | None = None, *, pin_memory: bool = False) -> Tensor:
        """Feature maps (B, channels, rows, columns) of these images.

        Args:
            files: As the benchmark names them.
            mirror: (B,) which of them are mirrored; none by default.
            pin_memory: For a GPU, whose copy then waits for nothing.

        """
        rows = self.plain.gather(files, pin_memory=pin_memory)
        if self.mirrored is not None and mirror is not None and mirror.any():
            rows[mirror] = self.mirrored.gather([file for file, is_mirrored in zip(files, mirror) if is_mirrored])
        return rows.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class StemRunner:
    """A model's stem with all that turns image files into its feature maps."""

    model: SVIP
    normalise: Normalisation
    device: torch.device
    dtype: torch.dtype
    workers: int = 0

    def find(self, benchmark: Benchmark, geometry: Geometry) -> StemFeatures | None:
        """Features of the unmirrored images that an earlier training kept; None when there are none, or no stem."""
        if stem_of(self.model.backbone) is None or not (benchmark.root / "features").is_dir():
            return None
        plain = find_features(self._plan(benchmark, geometry, mirrored=False))
        return StemFeatures(plain) if plain else None

    def prepare(
        self, benchmark: Benchmark, transform: Transform, progress: ProgressCallback | None = None
    ) -> StemFeatures:
        """Features for training with a transform that takes no random crops, computed now where they are not kept yet.

        Args:
            benchmark: Where the images are.
            transform: Of training.
            progress: Called with images done and images in all, for each of the sets that are made.

        Raises:
            DataError: An image is missing or does not decode.
            ResourceError, ConfigError: They cannot be written.

        """
        geometry = transform.training_geometry
        plain = self._make(benchmark, geometry, mirrored=False, progress=progress)
        mirrored = None
        if transform.augment != "none":
            mirrored = self._make(benchmark, geometry, mirrored=True, progress=progress)
        if geometry != transform.for_evaluation.training_geometry:
            self._make(benchmark, transform.for_evaluation.training_geometry, mirrored=False, progress=progress)
        return StemFeatures(plain, mirrored)

    def _make(
        self, benchmark: Benchmark, geometry: Geometry, *, mirrored: bool, progress: ProgressCallback | None
    ) -> Features:
        plan = self._plan(benchmark, geometry, mirrored=mirrored)
        return make_features(plan, lambda files: self._rows(benchmark, geometry, files, mirrored=mirrored), progress)

    def _plan(self, benchmark: Benchmark, geometry: Geometry, *, mirrored: bool) -> FeaturePlan:
        stem = stem_of(self.model.backbone)
        assert stem is not None
        images = images_packed(benchmark, geometry)
        if mirrored:
            images = tuple(benchmark.images[index] for index in np.sort(benchmark.trainval))
        sha256 = tensors_sha256(stem)
        stamp = {
            "stem": sha256,
            "images": stamp_of(benchmark, geometry),
            "mirrored": mirrored,
            "mean": list(self.normalise.mean),
            "std": list(self.normalise.std),
            "device": self.device.type,
        }
        arithmetic = arithmetic_name(self.dtype, self.device)
        name = f"{geometry.key}{'-mirrored' if mirrored else ''}-{arithmetic}-{sha256[:_NAMED]}"
        return FeaturePlan(benchmark.root / "features" / name, stamp, images, self._shape(), self.dtype)

    def _shape(self) -> tuple[int, ...]:
        """Rows, columns and channels of a feature map."""
        embed = self.model.backbone.patch_embed
        return (*(int(side) for side in embed.feature_size), int(embed.feature_dim))

    def _rows(
        self, benchmark: Benchmark, geometry: Geometry, files: Sequence[str], *, mirrored: bool
    ) -> Iterator[Tensor]:
        """Yield the feature maps (B, rows, columns, channels) of images in order."""
        resize = geometry.resize
        assert resize != "none"
        transform = Transform(image_size_of(self.model.backbone), resize)
        place = {file: index for index, file in enumerate(benchmark.images)}
        indices = np.array([place[file] for file in files], dtype=np.int64)
        packed, _ = find_pack(benchmark, geometry)
        dataset = ImageDataset(benchmark, indices, transform, packed=packed)
        was_training = self.model.training
        self.model.eval()
        try:
            with closing(batches(dataset, _BATCH, workers=self.workers)) as loader:
                for batch in loader:
                    yield self._features(batch.images.flip(3) if mirrored else batch.images)
        finally:
            self.model.train(was_training)

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        with autocast(self.dtype, self.device):
            features = stem_features(self.model.backbone, self.normalise(images.to(self.device)))
        return features.permute(0, 2, 3, 1).to(self.dtype)
