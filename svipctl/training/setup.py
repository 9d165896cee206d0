"""Prepare a training run from its configuration: device, data, network, packed pixels or features."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.feature_file import FeatureFile, read_pretrained_features
from svipctl.datasets.features import StemFeatures
from svipctl.datasets.images import Transform
from svipctl.datasets.object_masks import Coverage, check_objects, object_coverage
from svipctl.datasets.packed_pixels import PackedImages, find_pack, geometries
from svipctl.datasets.registry import open_benchmark
from svipctl.device import choose_dtype, use_device
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.leakage import UNKNOWN
from svipctl.inference.load import load_checkpoint
from svipctl.inference.network import check_same_benchmark, describe_model
from svipctl.inference.stem_features import features_of_file, prepare_stem_features
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.settings.schema import Settings, TrainSettings
from svipctl.training.starting_weights import Start, new_start
from svipctl.types import ProgressCallback


def open_data(settings: Settings, progress: ProgressCallback | None = None) -> tuple[Benchmark, FeatureFile | None]:
    """Open the data set, which is drawn if it is built in and missing, and the feature file of `data.features`.

    Raises:
        DataError: The data set or the file is missing or damaged.

    """
    file = read_pretrained_features(Path(settings.data.features)) if settings.data.features else None
    listed = None if file is None else file.images
    partial = settings.data.allow_partial
    return open_benchmark(settings.dataset, settings.data_dir, progress, allow_partial=partial, listed=listed), file


@dataclass(frozen=True)
class Setup:
    """The model and the data of a training run."""

    model: TrainedModel
    benchmark: Benchmark
    split: Split
    """The proposed split, or a fold of its training images."""
    monitored: Split | None
    """Split that is evaluated after each epoch; None for no evaluation."""
    transform: Transform
    """Transform of training."""
    packed: PackedImages | None
    """Pixels of the training images, if they are packed and up to date."""
    features: StemFeatures | None
    """Features of a frozen stem for the training images, read instead of the images."""
    objects: Coverage | None
    """Location of the object in each training image, if the selection needs it."""
    notes: tuple[str, ...]
    """Notes for the user before the first step."""
    initial_images: tuple[str, ...] = ()
    """Images of this data set that a new run's starting weights were trained on."""
    ranks: Ranks = ALONE
    """The processes that train together."""


def prepare(
    settings: Settings,
    benchmark: Benchmark,
    *,
    resume_from: Path | None = None,
    progress: ProgressCallback | None = None,
    ranks: Ranks = ALONE,
    file: FeatureFile | None = None,
) -> Setup:
    """Choose the device, seed all generators, and build the model or load it from the checkpoint of a run to resume.

    Args:
        settings: The configuration.
        benchmark: The data set.
        resume_from: Checkpoint of the run to resume.
        progress: Called with images done and images in total while a frozen stem's features are computed.
        ranks: The processes that train together.
        file: The feature file of `data.features`.

    Raises:
        ConfigError: The GPU, backbone or fold does not exist.
        DataError: Word vectors or weights are missing or damaged, or the run to resume has other classes or
            attributes, or of other features.

    """
    check_data(settings, benchmark, file)
    device = use_device(settings.gpu, ranks.local)
    seed_everything(settings.seed)
    split = benchmark.split(settings.train.fold)
    if file is not None:
        settings = with_width(settings, file)
    if resume_from is not None:
        loaded = load_checkpoint(resume_from)
        check_same_benchmark(loaded.metadata, benchmark)
        start = Start(loaded.network, loaded.metadata.backbone_weights, loaded.normalise)
        # As at the start: release 0.1 evaluated every run by the shorter side, whatever it was trained with.
        data = settings.data.model_copy(update={"test_resize": loaded.metadata.resize})
        settings = settings.model_copy(update={"data": data})
        if file is not None and file.sha256 != start.weights["sha256"]:
            raise DataError(
                f"the features in {file.path} are not those that the run was started with",
                why="the SHA-256 of the file differs",
                todo="restore the file, or train a new run without --resume",
            )
    else:
        start = new_start(settings, benchmark, split)
        if file is not None:
            known = {} if "weights" in file.about else {"images": UNKNOWN}
            start = replace(start, weights={"source": str(file.path), "sha256": file.sha256, **known})
    network = start.network
    network.scorer.fit(torch.from_numpy(benchmark.class_attributes[split.seen_classes]))
    transform = transform_of(settings, image_size_of(network.backbone))
    packs = [find_pack(benchmark, geometry) for geometry in geometries(transform)]
    network.run_blocks(compiled=settings.train.compile, checkpointing=settings.train.checkpointing)
    metadata = describe_model(network, settings, start.weights, start.normalise, benchmark, split)
    model = TrainedModel(network.to(device), metadata, device, choose_dtype(settings.precision, device))
    features, notes = None, [*start.notes, *(note for _, note in packs if note)]
    if file is not None:
        features = features_of_file(file, benchmark, metadata)
        model = replace(model, features=features)
        if features.mirrored is None and transform.augment != "none":
            notes.append(f"{file.path} has no features of mirror images: training uses no flips")
            transform = replace(transform, augment="none")
    elif settings.model.stem == "frozen":
        network.freeze_stem()
        if start.weights["source"] == "none":
            notes.append("the frozen stem has random weights: use --weights pretrained, or --set model.stem=train")
        if keeps_features(settings):
            features = prepare_stem_features(
                model, benchmark, transform, workers=settings.data.workers, progress=progress
            )
    objects = None
    if settings.method.selection == "object":
        objects = object_coverage(benchmark, split.train, transform.training_geometry, *network.grid.window_shape)
    return Setup(
        model=model,
        benchmark=benchmark,
        split=split,
        monitored=split if _is_monitored(settings.train) else None,
        transform=transform,
        packed=packs[0][0],
        features=features,
        objects=objects,
        notes=tuple(notes),
        initial_images=start.images,
        ranks=ranks,
    )


def check_data(settings: Settings, benchmark: Benchmark, file: FeatureFile | None) -> None:
    """Raise ConfigError if the settings need what the data set or the feature file does not have."""
    crops, needs_objects = settings.data.augment == "crop-and-flip", settings.method.selection == "object"
    if crops and file is not None:
        raise ConfigError("random crops are not possible with a feature file", todo="--set data.augment=flip")
    if crops and needs_objects:
        raise ConfigError("method.selection = object does not support random crops", todo="--set data.augment=flip")
    if needs_objects:
        check_objects(benchmark)


def image_size(settings: Settings) -> int:
    """Return the side of the network's input in pixels, without loading weights.

    Raises:
        ConfigError: The backbone does not exist.

    """
    with torch.device("meta"):
        return image_size_of(create_backbone(settings.model.backbone, settings.model.backbone_args))


def with_width(settings: Settings, file: FeatureFile) -> Settings:
    """Return the settings with the width of the features of a file as the backbone's."""
    model = settings.model.model_copy(update={"backbone_args": {"embed_dim": file.features.shape[1]}})
    return settings.model_copy(update={"model": model})


def keeps_features(settings: Settings) -> bool:
    """Return True if the features of a stem are cached: it is frozen, and no random crop changes its input."""
    data = settings.data
    return settings.model.stem == "frozen" and data.keep_features and data.augment != "crop-and-flip"


def transform_of(settings: Settings, size: int) -> Transform:
    """Return the transform of training for an input of `size` pixels."""
    data = settings.data
    return Transform(size, data.resize, data.augment, data.crop_scale, data.evaluation_resize)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, the last on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _is_monitored(train: TrainSettings) -> bool:
    """Return True if epochs are evaluated: a fold on its validation part, a final run on test only if requested."""
    return train.monitor == "test" or (train.monitor == "validation" and train.fold is not None)
