"""A trained model on disk: `model.safetensors` and `metadata.json` in a folder that is complete or not there.

The folder says everything needed to use the model again; no configuration of the run is read to load it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from svipctl.errors import DataError, explained_disk_errors
from svipctl.files import atomic_folder, atomic_write_bytes, atomic_write_text, resolve_folder
from svipctl.model.svip import SVIP
from svipctl.model.weights import is_pickle

WEIGHTS, METADATA = "model.safetensors", "metadata.json"


@dataclass(frozen=True)
class Metadata:
    """What a checkpoint says of itself."""

    version: str
    """Of svipctl."""
    dataset: str
    recipe: str
    epoch: int
    """Epochs trained."""
    backbone: str
    backbone_args: dict[str, Any]
    backbone_weights: dict[str, str]
    """Source and SHA-256 of the pretrained weights."""
    window: int
    classifier_hidden: int
    method: dict[str, Any]
    """Every switch of the recipe."""
    attributes: Sequence[str]
    classes: Sequence[str]
    seen_classes: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    image_size: int
    metrics: dict[str, Any] = field(default_factory=dict)
    """Of the epoch, as in metrics.jsonl."""
    class_attributes_sha256: str = ""
    """Of the (C, K) table the model was trained with."""
    sha256: str = ""
    """Of model.safetensors."""


def save_checkpoint(
    folder: Path, model: SVIP, metadata: Metadata, *, extra: Callable[[Path], None] | None = None
) -> None:
    """Write a checkpoint folder; until it is complete the previous one stays, whatever happens.

    Args:
        folder: For instance `checkpoints/last`.
        model: What to save.
        metadata: `sha256` is filled in here.
        extra: Writes further files into the folder before it is put in place, for instance the training state.

    Raises:
        ResourceError: The disk is full.

    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = save(state)
    stamped = asdict(metadata) | {"sha256": hashlib.sha256(content).hexdigest()}
    with explained_disk_errors(f"the checkpoint {folder}"), atomic_folder(folder) as unfinished:
        atomic_write_bytes(unfinished / WEIGHTS, content)
        atomic_write_text(unfinished / METADATA, json.dumps(stamped, indent=2, default=str) + "\n")
        if extra:
            extra(unfinished)


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], Metadata]:
    """The tensors of a checkpoint folder, and what it says of itself.

    Raises:
        DataError: Missing, incomplete or damaged; a pickle is never loaded.

    """
    for _ in range(2):  # a second time if the checkpoint was replaced between its two files
        metadata = read_metadata(folder)
        try:
            content = (resolve_folder(folder) / WEIGHTS).read_bytes()
        except OSError as error:
            raise DataError(f"the checkpoint {folder} has no {WEIGHTS}", why=str(error)) from error
        if hashlib.sha256(content).hexdigest() == metadata.sha256:
            break
    else:
        kind = "it is a pickle, not safetensors" if is_pickle(content[:2]) else "its SHA-256 is not the one recorded"
        raise DataError(
            f"the checkpoint {folder} is damaged",
            why=f"{WEIGHTS}: {kind}",
            todo="use another checkpoint, or train again",
        )
    try:
        return load(content), metadata
    except SafetensorError as error:
        raise DataError(f"the checkpoint {folder} does not fit its own description", why=str(error)) from error


def read_metadata(folder: Path) -> Metadata:
    """What a checkpoint says of itself, without loading the weights."""
    folder = resolve_folder(folder)
    try:
        return Metadata(**json.loads((folder / METADATA).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(
            f"there is no checkpoint in {folder}",
            todo="finish its training (svipctl train DATASET --resume NAME), or name another with --run",
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"the checkpoint {folder} is damaged", why=f"{METADATA}: {error}") from error


def sha256_of(table: NDArray[np.float64]) -> str:
    """SHA-256 of a table's values, row by row in float64."""
    return hashlib.sha256(np.ascontiguousarray(table, dtype=np.float64).tobytes()).hexdigest()
