"""Plan a training run for `train --dry-run`: its actions and needs, without drawing, downloading or writing anything."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from svipctl.datasets.feature_file import read_pretrained_features
from svipctl.datasets.feature_rows import match_features
from svipctl.datasets.names import BUILT_IN
from svipctl.datasets.registry import pictures_to_draw
from svipctl.device import check_devices, choose_dtype, precision_name
from svipctl.inference.checkpoint import read_metadata
from svipctl.inference.network import build_network, check_same_benchmark, check_word_vectors, load_word_vectors
from svipctl.inference.weights_file import read_trained
from svipctl.model.backbone import create_backbone, image_size_of, stem_of
from svipctl.model.weights import load_backbone, needs_download
from svipctl.runs.run import Run
from svipctl.semantics.toy_corpus import WIDTH
from svipctl.settings.schema import Settings
from svipctl.training.resume import check_same_images
from svipctl.training.setup import check_data, keeps_features, open_data, with_width
from svipctl.training.starting_weights import start_from_trained

_MIB = 2**20
_COPIES_ON_DISK = (
    7  # best: weights; last: weights and the optimizer's two moments, twice while a new checkpoint replaces the old one
)
_COPIES_IN_TRAINING = 4  # weights, gradients and the optimizer's two moments


def plan_training(settings: Settings, run: Run, position: str = "") -> dict[str, Any]:
    """Return the plan of `train --dry-run`; sizes in MiB, of the network in fp32, without activations.

    `position` is the position of a run that is resumed. `features_mib` is the size of a frozen stem's features next to
    the images, if all must be computed.

    Raises:
        ConfigError: The GPU, backbone or fold does not exist; or backbone, window, recipe and data do not fit together.
        NetworkError: The weights must be downloaded, and `offline` forbids it.
        DataError: The data set, its word vectors or the weights are missing or damaged, do not fit, or are not those of
            the run to resume.

    """
    device = check_devices(settings.gpu)
    begins = not position  # the weights and word vectors are in the checkpoint
    to_download = False
    if begins and not settings.model.init_from:
        to_download = needs_download(settings.model.backbone, settings.model.weights, offline=settings.offline)
    to_draw = pictures_to_draw(settings.dataset, settings.data_dir)
    images: int | None = None
    kept, attributes, word_width = 0, 1, WIDTH  # of word vectors that would be trained first
    if to_draw:
        file = read_pretrained_features(Path(settings.data.features)) if settings.data.features else None
    else:
        benchmark, file = open_data(settings)
        if file is not None:
            match_features(file, benchmark)
        check_data(settings, benchmark, file)
        split = benchmark.split(settings.train.fold)
        train = split.train
        images, attributes = len(train), len(benchmark.attributes)
        if not begins:
            check_same_benchmark(read_metadata(run.last), benchmark)
            check_same_images(run, benchmark, settings.train.fold)
        built_in = settings.dataset in BUILT_IN
        if begins and settings.method.needs_words and check_word_vectors(benchmark, built_in=built_in).exists():
            word_width = load_word_vectors(benchmark, built_in=built_in).shape[1]
        kept = len(benchmark.images) + (len(benchmark.trainval) if settings.data.augment == "flip" else 0)
    if file is not None:
        settings = with_width(settings, file)
    model = settings.model
    has_file = begins and not model.init_from and model.weights not in ("none", "pretrained")
    # Not without storage: the values of a .npz are checked in the network.
    loaded = load_backbone(model.backbone, model.backbone_args, model.weights)[0] if has_file else None
    with torch.device("meta"), warnings.catch_warnings():  # shapes are enough
        warnings.simplefilter("ignore")  # of torch, that tensors without storage take no values
        backbone = create_backbone(model.backbone, model.backbone_args) if loaded is None else loaded
        network = build_network(model, settings.method, attributes, torch.empty(attributes, word_width), backbone)
        if begins and model.init_from:
            if to_draw:
                read_trained(Path(model.init_from))
            else:
                start_from_trained(network, settings, benchmark, split)
    image_size_of(backbone)  # refuses images that are not square
    if file is None and model.stem == "frozen":
        network.freeze_stem()
    dtype = choose_dtype(settings.precision, device)
    row = 0
    if file is None and stem_of(backbone) is not None and keeps_features(settings):
        row = dtype.itemsize * backbone.patch_embed.feature_dim * backbone.patch_embed.num_patches
    size = 4 * sum(parameter.numel() for parameter in network.parameters()) / _MIB
    return {
        "dataset": settings.dataset,
        "pictures_to_draw": to_draw,
        "training_images": images,
        "run": str(run.folder),
        "resumes": position or None,
        "recipe": settings.recipe,
        "backbone": settings.model.backbone,
        "weights": settings.model.init_from or settings.model.weights,
        "weights_to_download": to_download,
        "epochs": settings.train.epochs,
        "batch_size": settings.train.batch_size,
        "parts": settings.train.accumulate,
        "checkpointing": settings.train.checkpointing,
        "compiled": settings.train.compile,
        "device": str(device),
        "precision": precision_name(dtype),
        "disk_mib": round(_COPIES_ON_DISK * size),
        "features_mib": round(kept * row / _MIB),
        "memory_mib": round(_COPIES_IN_TRAINING * size),
    }
