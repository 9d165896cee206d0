"""Save and load checkpoints: `model.safetensors` and `metadata.json` in a folder that is complete or does not exist.

The folder has everything needed to use the model; the configuration of the run is not read.
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

from svipctl.errors import DataError, ReadError, explained_disk_errors
from svipctl.files import atomic_folder, atomic_write_bytes, atomic_write_text, read_regular, resolve_folder
from svipctl.model.svip import SVIP
from svipctl.model.weights import is_pickle
from svipctl.runs.documents import FORMAT, EpochFigures, FolderFormat, parse
from svipctl.runs.manifest import WEIGHTS, is_expected, read_checked, write_manifest
from svipctl.types import Precision

METADATA = "metadata.json"


Positive = Annotated[int, Field(ge=1, le=2**16)]
Triple = Annotated[Sequence[float], Field(min_length=3, max_length=3)]
Names = Annotated[Sequence[str], Field(min_length=1)]


@dataclass(frozen=True)
class Metadata:
    """Description of a checkpoint; numbers are bounded when it is read, before anything is built from them."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    version: str
    """Version of svipctl."""
    dataset: str
    recipe: str
    epoch: Annotated[int, Field(ge=0)]
    """Number of trained epochs."""
    backbone: str
    backbone_args: dict[str, Any]
    backbone_weights: dict[str, str]
    """Source and SHA-256 of the pretrained weights."""
    window: Positive
    classifier_hidden: Positive
    method: dict[str, Any]
    """All switches of the recipe."""
    attributes: Names
    classes: Names
    seen_classes: Names
    mean: Triple
    std: Annotated[Sequence[PositiveFloat], Field(min_length=3, max_length=3)]
    image_size: Positive
    resize: Literal["shorter-side", "square"] = "shorter-side"
    """Resizing in evaluation."""
    precision: Precision = "fp32"
    """The setting `precision` of the training."""
    metrics: EpochFigures = field(default_factory=dict)
    """Metrics of the epoch, as in metrics.jsonl."""
    class_attributes_sha256: str = ""
    """SHA-256 of the (C, K) table that the model was trained with."""
    word_vectors_sha256: str = ""
    """SHA-256 of the (K, words) word vectors of the network; empty without any and in checkpoints of release 0.1."""
    value_range: tuple[float, float] | None = None
    """Lowest and highest value that a class table may have; None in checkpoints of release 0.1."""
    saved_by: str = ""
    """The run that saved the checkpoint, by the SHA-256 of its config.toml; empty in checkpoints of earlier versions."""
    sha256: str = ""
    """SHA-256 of model.safetensors."""
    format: FolderFormat = 1
    """Format of the folder (`svipctl.runs.manifest`)."""


def save_checkpoint(
    folder: Path, model: SVIP, metadata: Metadata, *, extra: Callable[[Path], None] | None = None
) -> None:
    """Write a checkpoint folder; until it is complete the previous one stays.

    Args:
        folder: Folder, for instance `checkpoints/last`.
        model: Network to save.
        metadata: Description; its `sha256` and `format` are set by this function.
        extra: Function that writes further files into the folder before it is complete, for instance the training
            state.

    Raises:
        ResourceError: The disk is full.

    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = save(state)
    stamped = asdict(metadata) | {"sha256": hashlib.sha256(content).hexdigest(), "format": FORMAT}
    with explained_disk_errors(f"the checkpoint {folder}"), atomic_folder(folder) as unfinished:
        atomic_write_bytes(unfinished / WEIGHTS, content)
        atomic_write_text(unfinished / METADATA, json.dumps(stamped, indent=2, default=str) + "\n")
        if extra:
            extra(unfinished)
        write_manifest(unfinished, {WEIGHTS: content})


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], Metadata]:
    """Return the tensors and the metadata of a checkpoint folder.

    Raises:
        DataError: The checkpoint is missing, incomplete or damaged; a pickle is never loaded.

    """
    for _ in range(2):  # a second time if the checkpoint was replaced between its two files
        metadata = read_metadata(folder)
        try:
            content = read_regular(resolve_folder(folder) / WEIGHTS)
        except ReadError:
            raise
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
    """Return the metadata of a checkpoint without loading the weights.

    Raises:
        DataError: The metadata is missing or damaged; names the field.

    """
    if not is_expected(folder, METADATA):
        raise DataError(
            f"there is no checkpoint in {folder}",
            todo="finish its training (svipctl train DATASET --resume NAME), or choose another run with --run",
        )
    return parse(Metadata, read_checked(folder, METADATA), folder / METADATA)


def sha256_of(table: NDArray[np.float64]) -> str:
    """Return the SHA-256 of a table's values, row by row in float64."""
    return hashlib.sha256(np.ascontiguousarray(table, dtype=np.float64).tobytes()).hexdigest()
