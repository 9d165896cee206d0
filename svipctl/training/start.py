"""The network before a run's first step, and the weights that it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import NORMALISATIONS, Normalisation
from svipctl.errors import DataError
from svipctl.evaluation.checkpoint import normalisation_of, notes_on, run_of
from svipctl.evaluation.leakage import UNKNOWN, check_zero_shot
from svipctl.inference.network import network_for
from svipctl.model.backbone import create_backbone
from svipctl.inference.checkpoint import Metadata
from svipctl.model.svip import SVIP
from svipctl.inference.weights_file import TrainedWeights, put_into, read_trained
from svipctl.model.weights import load_backbone
from svipctl.settings.schema import Settings


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    model: SVIP
    weights: dict[str, str]
    """Source and SHA-256 of the weights; of a whole network also whether its training images are known."""
    normalise: Normalisation
    images: tuple[str, ...] = ()
    """Of this data set, that a whole network's weights were trained on, as far as known."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def begin(settings: Settings, benchmark: Benchmark, split: Split) -> Start:
    """Build the network: its backbone with `model.weights` and new heads, or all of it from `model.init_from`.

    Raises:
        ConfigError: Backbone, window and recipe do not go together.
        DataError: A file is missing, damaged or does not fit, or the network was trained on what is to be scored.

    """
    if settings.model.init_from:
        return _trained(settings, benchmark, split)
    backbone, source = load_backbone(settings.model.backbone, settings.model.backbone_args, settings.model.weights)
    normalise = NORMALISATIONS.get(settings.data.normalise) or _of_weights(backbone.pretrained_cfg)
    return Start(network_for(settings, benchmark, backbone), source, normalise)


def _trained(settings: Settings, benchmark: Benchmark, split: Split) -> Start:
    weights = read_trained(Path(settings.model.init_from))
    backbone = create_backbone(settings.model.backbone, settings.model.backbone_args)
    model = network_for(settings, benchmark, backbone)
    put_into(model, weights)
    source = {"source": weights.name, "sha256": weights.sha256}
    metadata, notes = weights.metadata, notes_on(weights)
    if metadata is None:
        return Start(model, source | {"images": UNKNOWN}, normalisation_of(weights, settings), notes=tuple(notes))
    _check_attributes(metadata, benchmark, weights)
    check_zero_shot(metadata, [benchmark.classes[label] for label in split.unseen_classes])
    images = _images_of(weights, metadata)
    mine = images & set(benchmark.images) if images and metadata.dataset == benchmark.name else frozenset()
    scored = {benchmark.images[index] for part in (split.seen, split.unseen) for index in part}
    if mine & scored:
        raise DataError(
            f"{weights.name} was trained on {len(mine & scored)} of the {len(scored)} images the run would be scored on",
            why=f"for instance {min(mine & scored)}",
            todo="begin with other weights, or train on another split",
        )
    source |= {"images": UNKNOWN if images is None else "known"}
    source |= {f"backbone_{key}": metadata.backbone_weights.get(key, "") for key in ("source", "sha256")}
    normalise = NORMALISATIONS.get(settings.data.normalise) or Normalisation(metadata.mean, metadata.std)
    now = settings.method.model_dump(mode="json")
    other = [key for key, value in now.items() if key in metadata.method and metadata.method[key] != value]
    if other:
        notes.append(f"{weights.name} was trained with other switches of the method: {', '.join(other)}")
    return Start(model, source, normalise, tuple(sorted(mine)), tuple(notes))


def _images_of(weights: TrainedWeights, metadata: Metadata) -> frozenset[str] | None:
    """The images that a checkpoint of ours was trained on, those of what it began with included; None if unknown."""
    run = run_of(weights)
    if run is None or metadata.backbone_weights.get("images") == UNKNOWN:
        return None
    return run.training_images() | run.initial_images()


def _check_attributes(metadata: Metadata, benchmark: Benchmark, weights: TrainedWeights) -> None:
    if tuple(metadata.attributes) != benchmark.attributes:
        raise DataError(
            f"{weights.name} predicts other attributes than {benchmark.name} has",
            why="their number is the same, their names or order are not",
            todo="begin with weights trained on this data set's attributes",
        )


def _of_weights(config: object) -> Normalisation:
    """Mean and standard deviation that timm records for the backbone's weights."""
    mean, std = (config[key] if isinstance(config, dict) else getattr(config, key) for key in ("mean", "std"))
    return Normalisation(tuple(mean), tuple(std))
