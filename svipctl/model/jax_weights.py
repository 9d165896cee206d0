"""Load Vision Transformer weights of JAX and Flax (.npz) into a timm model."""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer

from svipctl.errors import DataError
from svipctl.npz_files import npz_shapes

_ANCHOR = "embedding/kernel"
_UNUSED = ("head/", "pre_logits/")  # classifiers of the pretraining
_BLOCK = re.compile(r"encoderblock_(\d+)/")
Shapes = dict[str, tuple[int, ...]]


def load_npz(backbone: VisionTransformer, path: Path) -> None:
    """Load the weights of a file completely and unchanged: nothing is resized, and nothing is left over.

    timm's own loading uses only the first blocks of a deeper file and resamples tensors of another size.

    Raises:
        DataError: The file is missing, damaged, of another format, or of another network.

    """
    shapes = npz_shapes(path, what="weights file")
    prefix = next((name.removesuffix(_ANCHOR) for name in shapes if name.endswith(_ANCHOR)), None)
    if prefix is None:
        raise DataError(f"{path} contains no JAX Vision Transformer", why=f"it has no {_ANCHOR}")
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    own = {name: shape for name, shape in own.items() if not name.startswith(_UNUSED)}
    problems = _misfits(backbone, own)
    if not problems:
        problems = _loaded(backbone, path, sum(math.prod(shape) for shape in own.values()))
    if problems:
        raise DataError(
            f"{path} does not fit the backbone",
            why="\n".join(f"- {problem}" for problem in problems),
            todo="pass the backbone of the weights with --backbone",
        )


def _misfits(backbone: VisionTransformer, own: Shapes) -> list[str]:
    """Return the differences in shapes before anything is loaded, where timm would drop or resample."""
    kernel = tuple(backbone.patch_embed.proj.weight.permute(2, 3, 1, 0).shape)
    positions = next((shape for name, shape in own.items() if name.endswith("pos_embedding")), ())
    compared = (
        ("blocks", len({found[1] for name in own if (found := _BLOCK.search(name))}), len(backbone.blocks)),
        (f"shape of {_ANCHOR}", own[_ANCHOR], kernel),
        ("shape of pos_embedding", positions, () if backbone.pos_embed is None else tuple(backbone.pos_embed.shape)),
    )
    return [f"{what}: {found} in the file, {ours} in the backbone" for what, found, ours in compared if found != ours]


def _loaded(backbone: VisionTransformer, path: Path, numbers: int) -> list[str]:
    """Load the weights with timm, and return the problems found afterwards."""
    try:
        backbone.load_pretrained(str(path))
    except KeyError as error:
        return [f"missing: {str(error.args[0]).removesuffix(' is not a file in the archive')}"]
    except (RuntimeError, ValueError, IndexError, AttributeError) as error:
        return [str(error).partition("\n")[0]]
    state = backbone.state_dict()
    wanted = sum(tensor.numel() for tensor in state.values())
    if wanted != numbers:
        return [f"{numbers:,} numbers in the file, {wanted:,} in the backbone"]
    return [f"not finite: {name}" for name, tensor in state.items() if not torch.isfinite(tensor).all()]
