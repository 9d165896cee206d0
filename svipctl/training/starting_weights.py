"""Create the model of a new run, with the weights that it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import NORMALISATIONS, Normalisation
from svipctl.errors import DataError
from svipctl.evaluation.leakage import UNKNOWN, check_zero_shot
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.load import check_owner, normalisation_of, normalisation_of_backbone, notes_on
from svipctl.inference.network import new_network
from svipctl.inference.weights_file import TrainedWeights, put_into, read_trained
from svipctl.model.svip import SVIP
from svipctl.model.weights import load_backbone
from svipctl.runs.lookup import owner_of
from svipctl.settings.schema import Settings


@dataclass(frozen=True)
class Start:
    """The starting point of a run."""

    network: SVIP
    weights: dict[str, str]
    """Source and SHA-256 of the weights; for a whole network also `images`, if its training images are not known."""
    normalise: Normalisation
    images: tuple[str, ...] = ()
    """Known images of this data set that the starting weights of a whole network were trained on."""
    notes: tuple[str, ...] = ()
    """Notes for the user."""


def new_start(settings: Settings, benchmark: Benchmark, split: Split) -> Start:
    """Build the network: its backbone with `model.weights` and new heads, or all of it from `model.init_from`.

    Raises:
        ConfigError: Backbone, window and recipe do not fit together.
        DataError: A file is missing, damaged or does not fit, or the network was trained on images that are scored.

    """
    if settings.model.init_from:
        return start_from_trained(new_network(settings, benchmark), settings, benchmark, split)
    model, notes = settings.model, list[str]()
    backbone, source = load_backbone(model.backbone, model.backbone_args, model.weights, notes.append)
    normalise = normalisation_of_backbone(settings, backbone.pretrained_cfg)
    return Start(new_network(settings, benchmark, backbone), source, normalise, notes=tuple(notes))


def start_from_trained(network: SVIP, settings: Settings, benchmark: Benchmark, split: Split) -> Start:
    """Load the weights of `model.init_from` into a new network; arguments and errors as for `new_start`."""
    weights = read_trained(Path(settings.model.init_from))
    put_into(network, weights)
    source = {"source": weights.name, "sha256": weights.sha256}
    metadata, notes = weights.metadata, notes_on(weights)
    if metadata is None:
        return Start(network, source | {"images": UNKNOWN}, normalisation_of(weights, settings), notes=tuple(notes))
    if tuple(metadata.attributes) != benchmark.attributes:
        raise DataError(
            f"{weights.name} predicts other attributes than {benchmark.name} has",
            why="their number is the same, but their names or order differ",
            todo="start from weights trained on this data set's attributes",
        )
    check_zero_shot(metadata, benchmark.names_of(split.unseen_classes))
    images = _images_of(weights, metadata)
    mine = images & set(benchmark.images) if images and metadata.dataset == benchmark.name else frozenset()
    scored = {benchmark.images[index] for part in (split.seen, split.unseen) for index in part}
    if mine & scored:
        raise DataError(
            f"{weights.name} was trained on {len(mine & scored)} of the {len(scored)} images the run would be scored on",
            why=f"for instance {min(mine & scored)}",
            todo="start from other weights, or train on another split",
        )
    source |= {"images": UNKNOWN if images is None else "known"}
    source |= {f"backbone_{key}": metadata.backbone_weights.get(key, "") for key in ("source", "sha256")}
    normalise = NORMALISATIONS.get(settings.data.normalise) or Normalisation(metadata.mean, metadata.std)
    now = settings.method.model_dump(mode="json")
    other = [key for key, value in now.items() if key in metadata.method and metadata.method[key] != value]
    if other:
        notes.append(f"{weights.name} was trained with other switches of the method: {', '.join(other)}")
    return Start(network, source, normalise, tuple(sorted(mine)), tuple(notes))


def _images_of(weights: TrainedWeights, metadata: Metadata) -> frozenset[str] | None:
    """Return the images that a checkpoint and its starting weights were trained on; None if they are not known."""
    run = owner_of(weights.path)
    if run is None or metadata.backbone_weights.get("images") == UNKNOWN:
        return None
    check_owner(metadata, run)
    return run.training_images() | run.initial_images()
