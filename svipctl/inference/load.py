"""Load a trained model from a run, a checkpoint folder or a published file, or a pretrained backbone as a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.images import NORMALISATIONS, Normalisation
from svipctl.datasets.registry import open_benchmark
from svipctl.device import choose_dtype, gpu_flag, use_device
from svipctl.errors import ConfigError, DataError, with_system_errors
from svipctl.inference.checkpoint import METADATA, Metadata, read_checkpoint, read_metadata
from svipctl.inference.hub import local_checkpoint
from svipctl.inference.network import build_network, describe_model, network_from_state, new_network
from svipctl.inference.stem_features import with_features
from svipctl.inference.trained_model import TrainedModel
from svipctl.inference.weights_file import TrainedWeights, checkpoint_folder, put_into, read_trained
from svipctl.model.recipe import Recipe
from svipctl.model.weights import load_backbone
from svipctl.runs.folder import is_run
from svipctl.runs.lookup import owner_of
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from svipctl.types import Precision


@with_system_errors
def load(
    path: str | Path | Run,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    device: str | int | torch.device = "auto",
    precision: Precision = "auto",
) -> TrainedModel:
    """Load a trained model.

    Args:
        path: A run or its folder, a checkpoint folder, a `.pth` file of the published code, or `hf://OWNER/NAME`
            with or without `@REVISION`: a checkpoint on the Hugging Face Hub, from the cache if SVIPCTL_OFFLINE=1 is
            set.
        dataset: Name or folder of the data set, if it is not the run's; needed for a published file, which has no
            classes or attributes.
        data_dir: Folder of the data sets, if it is not the run's.
        device: `auto`, `cpu`, `cuda`, the index of a GPU, or a torch device.
        precision: `fp32`, `bf16`, or `auto` for that of the training: bf16 only if the hardware supports it and the
            training used it. For a published file `auto` is fp32.

    Raises:
        ConfigError: The device does not exist, the run is a baseline, or a published file has no `dataset`.
        DataError: The file is missing, damaged, or does not fit its data set.
        NetworkError: The Hub cannot be reached.

    """
    if "," in str(device):
        raise ConfigError(f"device={device!r} names several devices", todo='pass one device: device="cuda:0"')
    used = use_device(gpu_flag(device))
    path = path.folder if isinstance(path, Run) else local_checkpoint(path)
    data_folder = None if data_dir is None else Path(data_dir)
    run = Run(path) if is_run(path) else None
    folder = run.best if run else checkpoint_folder(path)
    if folder is not None:
        owner = run or owner_of(folder)
        if precision == "auto":
            precision = read_metadata(folder).precision if owner is None else owner.settings().precision
        dtype = choose_dtype(precision, used)
        model = load_run(run, used, dtype) if run else load_checkpoint(folder, used, dtype)
        return replace(model, dataset=dataset, data_dir=data_folder)
    weights = read_trained(path)
    if dataset is None:
        raise ConfigError(
            f"{path.name} has no classes and attributes",
            why="it is a weights file without metadata",
            todo='pass its data set, for instance dataset="cub"',
        )
    asked = None if precision == "auto" else precision
    settings = resolve(dataset, flags={"recipe": "reference", "data_dir": data_folder, "precision": asked}).settings
    benchmark = open_benchmark(dataset, settings.data_dir, allow_partial=True)
    model = load_published(weights, benchmark, settings, used, choose_dtype(settings.precision, used))
    return replace(model, dataset=dataset, data_dir=settings.data_dir)


def load_for_evaluation(
    subject: Run | Path, benchmark: Benchmark, settings: Settings, device: torch.device, file: FeatureFile | None = None
) -> TrainedModel:
    """Load a run, a checkpoint folder or a weights file with the configuration of a command.

    Args:
        subject: The run, folder or file.
        benchmark: The data set that it was trained on.
        settings: Precision, and if the blocks are compiled; for a file without metadata also backbone, window, recipe
            and normalization.
        device: Device of the network.
        file: Features for a network on features of a file; those that its run names if None.

    Raises:
        ConfigError, DataError: As `load_run`, `load_checkpoint`, `load_published` and `with_features`.

    """
    dtype = choose_dtype(settings.precision, device)
    if isinstance(subject, Run):
        model = load_run(subject, device, dtype)
    elif (folder := checkpoint_folder(subject)) is not None:
        model = load_checkpoint(folder, device, dtype)
    else:
        model = load_published(read_trained(subject), benchmark, settings, device, dtype)
    model.network.run_blocks(compiled=settings.eval.compile)
    return with_features(model, benchmark, file)


def load_run(run: Run, device: torch.device, dtype: torch.dtype = torch.float32) -> TrainedModel:
    """Load the best checkpoint of a run.

    Raises:
        ConfigError: The run is a baseline.
        DataError: The run has no such checkpoint yet, or the checkpoint is damaged.

    """
    run.require_network()
    return replace(load_checkpoint(run.best, device, dtype), run=run, checkpoint=None, is_best=True)


def load_run_with(run: Run, settings: Settings) -> TrainedModel:
    """Load the best checkpoint of a run with the device and the precision of a command's settings.

    Raises:
        ConfigError, DataError: As `load_run`, or the device does not exist.

    """
    device = use_device(settings.gpu)
    return load_run(run, device, choose_dtype(settings.precision, device))


def load_checkpoint(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> TrainedModel:
    """Load a checkpoint folder, in evaluation mode; a pickle is never loaded.

    Raises:
        DataError: The checkpoint is missing, incomplete or damaged.

    """
    state, metadata = read_checkpoint(folder)
    try:
        network = network_from_state(vars(metadata), state)
    except (ConfigError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"the checkpoint {folder} does not fit its own description", why=str(error)) from error
    weights = TrainedWeights(folder, state, metadata.sha256, published=False, metadata=metadata)
    run = owner_of(folder)
    if run is not None:
        check_owner(metadata, run)
    return TrainedModel(
        network.to(device).eval(),
        metadata,
        torch.device(device),
        dtype,
        run=run,
        checkpoint={"file": weights.name, "sha256": weights.sha256},
        is_best=run is not None and folder.resolve() == run.best.resolve(),
    )


def check_owner(metadata: Metadata, run: Run) -> None:
    """Raise DataError if a checkpoint in the folder of a run was saved by another run."""
    if metadata.saved_by not in ("", run.identity):
        raise DataError(
            f"a checkpoint of {run.folder} was saved by another run",
            why="it records another config.toml than the run has",
            todo="restore both from a copy, or train again",
        )


def load_published(
    weights: TrainedWeights,
    benchmark: Benchmark,
    settings: Settings,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> TrainedModel:
    """Create a model from weights without metadata, such as a file of the published code.

    Args:
        weights: Weights from `read_trained`.
        benchmark: Data set with the attributes that they were trained with.
        settings: Backbone, window, recipe, and the normalization if it is not the published one.
        device: Device of the network.
        dtype: Arithmetic of the network.

    Raises:
        ConfigError: The normalization of the images is not known.
        DataError: The weights do not fit the network.

    """
    if "context.to_patch.weight" in weights.state:  # the preset may have another context, if there are no word vectors
        method = settings.method.model_copy(update={"context": "words"})
        settings = settings.model_copy(update={"method": method})
    network = new_network(settings, benchmark)
    put_into(network, weights)
    normalise = normalisation_of(weights, settings)
    metadata = describe_model(network, settings, {}, normalise, benchmark, benchmark.split())
    return TrainedModel(
        network.to(device).eval(),
        replace(metadata, epoch=weights.epoch),
        device,
        dtype,
        checkpoint={"file": weights.name, "sha256": weights.sha256},
        notes=tuple(notes_on(weights)),
    )


def normalisation_of(weights: TrainedWeights, settings: Settings) -> Normalisation:
    """Return the normalization of a file without metadata: ImageNet's, as published, or that of the settings.

    Raises:
        ConfigError: The file is not from the published code, and the settings say `weights`.

    """
    name = settings.data.normalise
    if name == "weights" and not weights.published:
        raise ConfigError(
            f"{weights.name} does not record the normalization of its images",
            why=f"its {METADATA} is not next to it",
            todo="pass --set data.normalise=imagenet, or --set data.normalise=half",
        )
    return NORMALISATIONS["imagenet" if name == "weights" else name]


def notes_on(weights: TrainedWeights) -> list[str]:
    """Return notes for the user on a weights file."""
    notes = [f"{weights.name}: the weights are {weights.unwrapped}"] if weights.unwrapped else []
    if weights.ignored:
        notes.append(f"unused in {weights.name} and ignored: {', '.join(weights.ignored)}")
    return notes


def backbone_model(settings: Settings) -> TrainedModel:
    """Load a backbone with its weights; the heads around it are new placeholders with one attribute.

    Args:
        settings: Backbone, weights, normalization, resizing, device and arithmetic; the seed of random weights.

    Raises:
        ConfigError: The GPU or the backbone does not exist, or `model.init_from` names a trained network.
        DataError, NetworkError: The weights are missing, damaged or do not fit.

    """
    if settings.model.init_from:
        raise ConfigError(
            "model.init_from cannot be used here: features must come from a pretrained backbone",
            why=f"{settings.model.init_from} may have been trained on images that a fold validates on",
            todo="omit it; --weights FILE selects weights of a backbone",
        )
    device = use_device(settings.gpu)
    torch.manual_seed(settings.seed)
    notes = list[str]()
    model = settings.model.model_copy(update={"window": 1, "classifier_hidden": 1})
    backbone, weights = load_backbone(model.backbone, model.backbone_args, model.weights, notes.append)
    network = build_network(model, Recipe(passes="source", context="none"), 1, backbone=backbone)
    normalise = normalisation_of_backbone(settings, backbone.pretrained_cfg)
    return TrainedModel(
        network.to(device).eval(),
        describe_model(network, settings.model_copy(update={"model": model}), weights, normalise),
        device,
        choose_dtype(settings.precision, device),
        notes=tuple(notes),
        is_backbone_alone=True,
    )


def normalisation_of_backbone(settings: Settings, config: object) -> Normalisation:
    """Return the normalization that the settings name, or the one that timm records for the backbone's weights."""
    if named := NORMALISATIONS.get(settings.data.normalise):
        return named
    mean, std = (config[key] if isinstance(config, dict) else getattr(config, key) for key in ("mean", "std"))
    return Normalisation(tuple(mean), tuple(std))
