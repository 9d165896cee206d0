"""Load the weights of a whole trained network from a file: a checkpoint of ours, or a converted one of the published
code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from svipctl.errors import DataError, shortened
from svipctl.files import file_sha256, resolve_folder
from svipctl.inference.checkpoint import METADATA, Metadata, read_checkpoint
from svipctl.inference.hub import address_of
from svipctl.inference.network import WORD_VECTORS
from svipctl.model.state_dicts import OF_WRAPPING_MODULES, unwrapped
from svipctl.model.svip import SVIP
from svipctl.model.weights import misfits, read_weights
from svipctl.runs.manifest import WEIGHTS

_PUBLISHED_HEADS = {
    "head_1.": "attribute_head.",
    "token_cls.": "patch_classifier.",
    "v2p.": "context.to_patch.",
    "p2t.": "context.across.",
}
_UNUSED = "head."
"""Beginning of the names of the published network's unused classifier."""
_PUBLISHED = "taken from 'network'"


@dataclass(frozen=True)
class TrainedWeights:
    """Weights of a trained network in a file."""

    path: Path
    state: Mapping[str, Tensor]
    """Tensors under our names, without word vectors, which are the data set's."""
    sha256: str
    """SHA-256 of the file with the tensors."""
    published: bool
    """True if the file has the published code's names."""
    metadata: Metadata | None = None
    """Metadata of a checkpoint of ours."""
    epoch: int = 0
    """Epoch as the file counts it; 0 if it is not recorded."""
    ignored: tuple[str, ...] = ()
    """Tensors of the file that the method does not use."""
    unwrapped: str = ""
    """Description of the unwrapping of the tensors; mostly empty."""

    @property
    def name(self) -> str:
        """File name without the folders of this machine; the last three parts for a run's checkpoint; an address for
        the Hub.
        """
        if address := address_of(self.path):
            return address
        parts = self.path.parts
        return "/".join(parts[-3:]) if "checkpoints" in parts[-3:] else self.path.name


def checkpoint_folder(path: Path) -> Path | None:
    """Return the checkpoint folder of a path: itself, its `model.safetensors`, or the best one of a run's folder.

    None if there is no such folder.
    """
    folder = path.parent if path.name == WEIGHTS and (path.parent / METADATA).exists() else path
    if (path / "checkpoints" / "best").is_dir():
        folder = path / "checkpoints" / "best"
    return folder if resolve_folder(folder).is_dir() else None


def read_trained(path: Path) -> TrainedWeights:
    """Read a checkpoint folder, its `model.safetensors`, the best one of a run's folder, or a file of the published
    code.

    The published file (data, section 6) is a dict with the state dict under `network`, saved by `torch.save`; it is
    read by torch's restricted loader, which executes nothing, with numbers, text, arrays and one `argparse.Namespace`.
    A bare state dict, as .pth or .safetensors, works too.

    Raises:
        DataError: The file is missing, damaged, contains anything else, or has no such weights.

    """
    folder = checkpoint_folder(path)
    if folder is not None:
        state, metadata = read_checkpoint(folder)
        kept = {name: tensor for name, tensor in state.items() if name not in WORD_VECTORS}
        return TrainedWeights(folder, kept, metadata.sha256, published=False, metadata=metadata, epoch=metadata.epoch)
    if not path.is_file():
        raise DataError(
            f"there is no checkpoint {path}",
            todo="pass a run's folder (runs/DATASET/NAME), a checkpoint folder, or a weights file",
        )
    document = read_weights(path)
    epoch = document.get("epoch") if isinstance(document, Mapping) else None
    network, done = unwrapped(document, OF_WRAPPING_MODULES)
    if not isinstance(network, Mapping) or not network:
        raise DataError(
            f"{path} contains no network",
            why=f"it contains {_kind(network)}; the published code has a dict with `network`",
        )
    strangers = [str(name) for name, value in network.items() if not _is_tensor(name, value)]
    if strangers:
        raise DataError(
            f"{path} contains no state dict of a network",
            why=f"these are not dense tensors: {shortened(strangers, 5)}",
        )
    published = is_published(network)
    state = from_published(network) if published else dict(network)
    return TrainedWeights(
        path,
        {name: tensor.detach() for name, tensor in state.items() if name not in WORD_VECTORS},
        file_sha256(path),
        published,
        epoch=epoch if type(epoch) is int and epoch >= 0 else 0,
        unwrapped="" if done == _PUBLISHED else done,
        ignored=tuple(sorted(set(network) - {published_name(name) for name in state})) if published else (),
    )


def put_into(model: SVIP, weights: TrainedWeights) -> None:
    """Load trained weights into a network; its word vectors stay.

    Raises:
        DataError: Lists every tensor that is missing, unexpected, of another shape or not finite, by the file's names.

    """
    expected = {name: tensor for name, tensor in model.state_dict().items() if name not in WORD_VECTORS}
    shown = published_name if weights.published else str
    problems = misfits(weights.state, expected, shown)
    problems += [
        f"not finite: {shown(name)}"
        for name, tensor in weights.state.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if problems:
        raise DataError(
            f"{weights.path} does not fit the network: {len(problems)} problem{'s' if len(problems) > 1 else ''}",
            why="\n".join(f"- {problem}" for problem in problems),
            todo="pass the network that it was trained with (--backbone, --recipe, --set); the file contains "
            f"{summary(weights.state)}",
        )
    model.load_state_dict(dict(weights.state), strict=False)  # everything but the word vectors is there


def summary(state: Mapping[str, Tensor]) -> str:
    """Describe a network from the shapes of its state dict under our names."""
    parts = []
    blocks = {name.split(".")[2] for name in state if name.startswith("backbone.blocks.")}
    embedding = state.get("backbone.patch_embed.proj.weight")
    positions = state.get("backbone.pos_embed")
    if embedding is not None and embedding.ndim == 4:
        parts.append(f"width {embedding.shape[0]}, depth {len(blocks)}, patch {embedding.shape[-1]}")
    if positions is not None and positions.ndim == 3:
        parts.append(f"{positions.shape[1]} positions")
    head = state.get("attribute_head.bias")
    if head is not None and head.ndim == 1:
        parts.append(f"{len(head)} attributes")
    return ", ".join(parts) or "no Vision Transformer"


def _is_tensor(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(str(key) for key in list(value)[:8])}" if value else "an empty dict"
    return f"a {type(value).__name__}"


def our_name(published: str) -> str | None:
    """Return our name of a parameter of the published network; None for its unused classifier (`head.*`)."""
    if published.startswith(_UNUSED):
        return None
    for theirs, ours in _PUBLISHED_HEADS.items():
        if published.startswith(theirs):
            return ours + published.removeprefix(theirs)
    return f"backbone.{published}"


def published_name(ours: str) -> str:
    """Invert `our_name`."""
    for theirs, prefix in _PUBLISHED_HEADS.items():
        if ours.startswith(prefix):
            return theirs + ours.removeprefix(prefix)
    return ours.removeprefix("backbone.")


def is_published(names: Iterable[str]) -> bool:
    """Return True if a state dict has the published names: ours have `backbone.` before timm's."""
    return not any(name.startswith("backbone.") for name in names)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published state dict under our names, without its unused classifier."""
    return {name: tensor for key, tensor in state.items() if (name := our_name(key)) is not None}
