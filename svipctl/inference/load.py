"""Load a trained model from a run, a checkpoint folder or a published file, or create a new one from settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import NORMALISATIONS, Normalisation
from svipctl.datasets.registry import open_benchmark
from svipctl.device import choose_dtype, gpu_flag, use_device
from svipctl.errors import ConfigError, DataError
from svipctl.inference.checkpoint import METADATA, Metadata, read_checkpoint, sha256_of
from svipctl.inference.hub import local_checkpoint
from svipctl.inference.network import network_from_state, new_network
from svipctl.inference.trained_model import TrainedModel
from svipctl.inference.weights_file import TrainedWeights, checkpoint_folder, put_into, read_trained
from svipctl.model.backbone import image_size_of
from svipctl.model.svip import SVIP
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from svipctl.types import Precision
from svipctl.version import __version__


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
        precision: `fp32`, `bf16`, or `auto` for the run's (bf16 if the hardware supports it and the run was trained
            with it), or for that of the recipe `reference` (fp32) for a published file.

    Raises:
        ConfigError: The device does not exist, the run is a baseline, or a published file has no `dataset`.
        DataError: The file is missing, damaged, or does not fit its data set.
        NetworkError: The Hub cannot be reached.

    """
    if "," in str(device):
        raise ConfigError(f"device={device!r} names several devices", todo="a model needs one device")
    used = use_device(gpu_flag(device))
    path = path.folder if isinstance(path, Run) else local_checkpoint(path)
    data_folder = None if data_dir is None else Path(data_dir)
    run = Run(path) if (path / "config.toml").exists() else None
    folder = run.best if run else checkpoint_folder(path)
    if folder is not None:
        owner = run or run_of(folder)
        if owner is not None and precision == "auto":
            precision = owner.settings().precision
        dtype = choose_dtype(precision, used)
        model = load_run(run, used, dtype) if run else load_checkpoint(folder, used, dtype)
        return replace(model, dataset=dataset, data_dir=data_folder)
    weights = read_trained(path)
    if dataset is None:
        raise ConfigError(
            f"{path.name} has no classes and attributes",
            why="it is a file of weights without metadata",
            todo='pass its data set, for instance dataset="cub"',
        )
    asked = None if precision == "auto" else precision
    settings = resolve(dataset, flags={"recipe": "reference", "data_dir": data_folder, "precision": asked}).settings
    benchmark = open_benchmark(dataset, settings.data_dir, allow_partial=True)
    model = load_published(weights, benchmark, settings, used, choose_dtype(settings.precision, used))
    return replace(model, dataset=dataset, data_dir=settings.data_dir)


def load_for_evaluation(
    subject: Run | Path, benchmark: Benchmark, settings: Settings, device: torch.device
) -> TrainedModel:
    """Load a run, a checkpoint folder or a file of weights with the configuration of a command.

    Args:
        subject: The run, folder or file.
        benchmark: The data set that it was trained on.
        settings: Precision; for a file without metadata also backbone, window, recipe and normalisation.
        device: Device of the network.

    Raises:
        ConfigError, DataError: As `load_run`, `load_checkpoint` and `load_published`.

    """
    dtype = choose_dtype(settings.precision, device)
    if isinstance(subject, Run):
        return load_run(subject, device, dtype)
    folder = checkpoint_folder(subject)
    if folder is not None:
        return load_checkpoint(folder, device, dtype)
    return load_published(read_trained(subject), benchmark, settings, device, dtype)


def load_run(run: Run, device: torch.device, dtype: torch.dtype = torch.float32) -> TrainedModel:
    """Load the best checkpoint of a run.

    Raises:
        ConfigError: The run is a baseline.
        DataError: The run has no such checkpoint yet, or the checkpoint is damaged.

    """
    run.require_network()
    return replace(load_checkpoint(run.best, device, dtype), run=run, checkpoint=None, is_best=True)


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
    run = run_of(folder)
    return TrainedModel(
        network.to(device).eval(),
        metadata,
        torch.device(device),
        dtype,
        run=run,
        checkpoint={"file": weights.name, "sha256": weights.sha256},
        is_best=run is not None and folder.resolve() == run.best.resolve(),
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
        settings: Backbone, window, recipe, and the normalisation if it is not the published one.
        device: Device of the network.
        dtype: Arithmetic of the network.

    Raises:
        ConfigError: The normalisation of the images is not known.
        DataError: The weights do not fit the network.

    """
    if (
        "context.to_patch.weight" in weights.state
    ):  # the preset of a data set without word vectors may have another value
        method = settings.method.model_copy(update={"context": "words"})
        settings = settings.model_copy(update={"method": method})
    network = new_network(settings, benchmark)
    put_into(network, weights)
    normalise = normalisation_of(weights, settings)
    metadata = describe_model(network, settings, benchmark, benchmark.test_split(), {}, normalise)
    return TrainedModel(
        network.to(device).eval(),
        replace(metadata, epoch=weights.epoch),
        device,
        dtype,
        checkpoint={"file": weights.name, "sha256": weights.sha256},
        notes=tuple(notes_on(weights)),
    )


def describe_model(
    network: SVIP,
    settings: Settings,
    benchmark: Benchmark,
    split: Split,
    weights: dict[str, str],
    normalise: Normalisation,
) -> Metadata:
    """Return the metadata of a network before its first epoch.

    Args:
        network: Network of the settings.
        settings: Recipe, backbone and window.
        benchmark: Data set with classes and attributes.
        split: Split whose seen classes the network is trained on.
        weights: Source and SHA-256 of the backbone's weights.
        normalise: Normalisation of pixels.

    """
    return Metadata(
        version=__version__,
        dataset=benchmark.name,
        recipe=settings.recipe,
        epoch=0,
        backbone=settings.model.backbone,
        backbone_args=settings.model.backbone_args,
        backbone_weights=weights,
        window=settings.model.window,
        classifier_hidden=settings.model.classifier_hidden,
        method=settings.method.model_dump(mode="json"),
        attributes=benchmark.attributes,
        classes=benchmark.classes,
        class_attributes_sha256=sha256_of(benchmark.class_attributes),
        seen_classes=[benchmark.classes[label] for label in split.seen_classes],
        mean=list(normalise.mean),
        std=list(normalise.std),
        image_size=image_size_of(network.backbone),
        resize=settings.data.evaluation_resize,
    )


def run_of(folder: Path) -> Run | None:
    """Return the run that a checkpoint folder belongs to."""
    run = Run(folder.resolve().parent.parent)
    return run if (run.folder / "config.toml").exists() else None


def normalisation_of(weights: TrainedWeights, settings: Settings) -> Normalisation:
    """Return the normalisation of a file without metadata: ImageNet's, as published, or that of the settings.

    Raises:
        ConfigError: The file is not from the published code, and the settings say `weights`.

    """
    name = settings.data.normalise
    if name == "weights" and not weights.published:
        raise ConfigError(
            f"{weights.name} does not record the normalisation of its images",
            why=f"its {METADATA} is not next to it",
            todo="--set data.normalise=imagenet or half",
        )
    return NORMALISATIONS["imagenet" if name == "weights" else name]


def notes_on(weights: TrainedWeights) -> list[str]:
    """Return notes for the user on a file of weights."""
    notes = [f"{weights.name}: the weights are {weights.unwrapped}"] if weights.unwrapped else []
    if weights.ignored:
        notes.append(f"unused in {weights.name} and ignored: {', '.join(weights.ignored)}")
    return notes
