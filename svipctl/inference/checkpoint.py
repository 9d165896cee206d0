"""A trained model on disk: `model.safetensors` and `metadata.json` in a folder that is complete or not there.

The folder says everything needed to use the model again; no configuration of the run is read to load it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PositiveFloat
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from svipctl.errors import DataError, explained_disk_errors
from svipctl.files import atomic_folder, atomic_write_bytes, atomic_write_text, read_regular, resolve_folder
from svipctl.model.svip import SVIP
from svipctl.model.weights import is_pickle
from svipctl.runs.documents import parse
from svipctl.runs.manifest import is_expected, read_checked, write_manifest

WEIGHTS, METADATA = "model.safetensors", "metadata.json"


Positive = Annotated[int, Field(ge=1, le=2**16)]
Triple = Annotated[Sequence[float], Field(min_length=3, max_length=3)]
Names = Annotated[Sequence[str], Field(min_length=1)]


@dataclass(frozen=True)
class Metadata:
    """The description of a checkpoint; numbers are bounded where it is read, before anything is built from them."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    version: str
    """Of svipctl."""
    dataset: str
    recipe: str
    epoch: Annotated[int, Field(ge=0)]
    """Epochs trained."""
    backbone: str
    backbone_args: dict[str, Any]
    backbone_weights: dict[str, str]
    """Source and SHA-256 of the pretrained weights."""
    window: Positive
    classifier_hidden: Positive
    method: dict[str, Any]
    """Every switch of the recipe."""
    attributes: Names
    classes: Names
    seen_classes: Names
    mean: Triple
    std: Annotated[Sequence[PositiveFloat], Field(min_length=3, max_length=3)]
    image_size: Positive
    resize: Literal["shorter-side", "square"] = "shorter-side"
    """Form of the resizing in evaluation."""
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
        write_manifest(unfinished, {WEIGHTS: content})


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], Metadata]:
    """The tensors of a checkpoint folder, and what it says of itself.

    Raises:
        DataError: Missing, incomplete or damaged; a pickle is never loaded.

    """
    for _ in range(2):  # a second time if the checkpoint was replaced between its two files
        metadata = read_metadata(folder)
        try:
            content = read_regular(resolve_folder(folder) / WEIGHTS)
        except DataError as error:
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
    """Return what a checkpoint says of itself, without loading the weights.

    Raises:
        DataError: It is missing or damaged; names the field.

    """
    if not is_expected(folder, METADATA):
        raise DataError(
            f"there is no checkpoint in {folder}",
            todo="finish its training (svipctl train DATASET --resume NAME), or name another with --run",
        )
    try:
        return parse(Metadata, read_checked(folder, METADATA), folder / METADATA)
    except DataError as error:
        why = error.why.removeprefix(f"{METADATA}: ")
        raise DataError(f"the checkpoint {folder} is damaged", why=f"{METADATA}: {why}", todo=error.todo) from error


def sha256_of(table: NDArray[np.float64]) -> str:
    """SHA-256 of a table's values, row by row in float64."""
    return hashlib.sha256(np.ascontiguousarray(table, dtype=np.float64).tobytes()).hexdigest()
