"""Everything a training run needs, built from its configuration before the first step."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import Normalisation, Transform
from svipctl.datasets.objects import Coverage, object_coverage
from svipctl.datasets.pixels import PackedImages, find_pack, geometries
from svipctl.device import choose_dtype, use_device
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.errors import ConfigError
from svipctl.evaluation.network import check_same_benchmark
from svipctl.evaluation.predict import Predictor
from svipctl.evaluation.stem import StemFeatures, StemRunner
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.model.checkpoint import load_checkpoint
from svipctl.model.svip import SVIP
from svipctl.settings.schema import Settings, TrainSettings
from svipctl.training.start import Start, begin
from svipctl.types import ProgressCallback


@dataclass(frozen=True)
class Setup:
    """The parts of a training run."""

    benchmark: Benchmark
    split: Split
    """What is trained on: the proposed split, or a fold of its training images."""
    monitored: Split | None
    """What each epoch is evaluated on."""
    model: SVIP
    weights: dict[str, str]
    """Source and SHA-256 of the backbone's weights."""
    transform: Transform
    packed: PackedImages | None
    """The training images' pixels, when they are packed and fresh."""
    notes: tuple[str, ...]
    """What the user should know before the first step."""
    objects: Coverage | None
    """Where the object is in each training image, when the selection asks for it."""
    normalise: Normalisation
    device: torch.device
    dtype: torch.dtype
    ranks: Ranks = ALONE
    """The processes that train together."""
    features: StemFeatures | None = None
    """A frozen stem's features of the training images, read in the place of the images."""
    initial_images: tuple[str, ...] = ()
    """Images of this data set that a new run's starting weights were trained on."""

    def predictor(self, batch_size: int, workers: int) -> Predictor:
        """The model as evaluation uses it."""
        return Predictor(
            self.model,
            self.transform.for_evaluation,
            self.normalise,
            self.device,
            self.dtype,
            batch_size,
            workers,
            self.ranks,
        )


def prepare(
    settings: Settings,
    benchmark: Benchmark,
    *,
    resume_from: Path | None = None,
    progress: ProgressCallback | None = None,
    ranks: Ranks = ALONE,
) -> Setup:
    """Choose the device, seed everything, build the model, or load it from the checkpoint of a run to go on with.

    Args:
        settings: The configuration.
        benchmark: Its data set.
        resume_from: That checkpoint.
        progress: Called with images done and images in all while a frozen stem's features are computed.
        ranks: The processes that train together.

    Raises:
        ConfigError: No such GPU, backbone or fold.
        DataError: Word vectors or weights are missing or damaged; or the run to go on with is of other classes or
            attributes.

    """
    device = use_device(settings.gpu, ranks.local)
    seed_everything(settings.seed)
    split = benchmark.split(settings.train.fold)
    if resume_from is not None:
        loaded, metadata = load_checkpoint(resume_from)
        check_same_benchmark(metadata, benchmark)
        start = Start(loaded, metadata.backbone_weights, Normalisation(metadata.mean, metadata.std))
    else:
        start = begin(settings, benchmark, split)
    model, weights, normalise = start.model, start.weights, start.normalise
    transform = transform_of(settings, image_size_of(model.backbone))
    packs = [find_pack(benchmark, geometry) for geometry in geometries(transform)]
    model.run_blocks(compiled=settings.train.compile, checkpointing=settings.train.checkpointing)
    model, dtype = model.to(device), choose_dtype(settings.precision, device)
    features, notes = None, [*start.notes, *(note for _, note in packs if note)]
    if settings.model.stem == "frozen":
        model.freeze_stem()
        if weights["source"] == "none":
            notes.append("the stem has random weights and stays so: --weights pretrained, or --set model.stem=train")
        if keeps_features(settings):
            stem = StemRunner(model, normalise, device, dtype, settings.data.workers)
            features = stem.prepare(benchmark, transform, progress)
    return Setup(
        benchmark=benchmark,
        split=split,
        monitored=split if _is_monitored(settings.train) else None,
        model=model,
        weights=weights,
        transform=transform,
        packed=packs[0][0],
        notes=tuple(notes),
        objects=_objects(benchmark, split, transform, model) if settings.method.selection == "object" else None,
        normalise=normalise,
        device=device,
        dtype=dtype,
        features=features,
        initial_images=start.images,
        ranks=ranks,
    )


def image_size(settings: Settings) -> int:
    """Side of the network's input in pixels, without its weights.

    Raises:
        ConfigError: No such backbone.

    """
    with torch.device("meta"):
        return image_size_of(create_backbone(settings.model.backbone, settings.model.backbone_args))


def keeps_features(settings: Settings) -> bool:
    """Whether a stem's features are computed once: it is frozen, and no random crop makes each epoch's images anew."""
    data = settings.data
    return settings.model.stem == "frozen" and data.keep_features and data.augment != "crop-and-flip"


def _objects(benchmark: Benchmark, split: Split, transform: Transform, model: SVIP) -> Coverage:
    if transform.crops:
        raise ConfigError(
            "method.selection = object does not follow random crops",
            todo="--set data.augment=flip",
        )
    return object_coverage(benchmark, split.train, transform.training_geometry, *model.grid.window_shape)


def transform_of(settings: Settings, size: int) -> Transform:
    """The transform of training for an input of `size` pixels."""
    data = settings.data
    return Transform(size, data.resize, data.augment, data.crop_scale)


def _is_monitored(train: TrainSettings) -> bool:
    """Whether epochs are evaluated: a fold on its validation part, a final run on test only when asked to."""
    return train.monitor == "test" or (train.monitor == "validation" and train.fold is not None)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, the last on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
