"""Unwrap state dicts of other programs: from inside a document, and with a prefix before each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "network", "net", "module", "params", "weights"),
    *("teacher", "student", "state_dict_ema", "model_ema", "ema"),
)
"""Keys under which training programs keep the state dict: timm, Lightning, DeiT, MAE, DINO, the published SVIP."""
OF_WRAPPING_MODULES = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile put before each name."""
OF_BACKBONES = (*OF_WRAPPING_MODULES, "model.", "net.", "backbone.", "encoder.", "visual.", "vit.")
"""Prefixes of a network that was part of another one, in addition to these."""
_DEEPEST = 3


def unwrapped(document: Any, prefixes: Sequence[str], heads: tuple[str, ...] = ()) -> tuple[Any, str]:
    """Return the state dict in a document, without a prefix that all its names have.

    Args:
        document: Content of a file.
        prefixes: Prefixes that may be removed.
        heads: Beginnings of names that need not have the prefix.

    Returns:
        The state dict, or the document itself if it contains none; and a description of the changes, or "".

    """
    done = []
    for _ in range(_DEEPEST):
        key = _wrapper(document)
        if key is None:
            break
        document = document[key]
        done.append(f"taken from {key!r}")
    while _is_state_dict(document) and (prefix := _common(document, prefixes, heads)):
        document = {name.removeprefix(prefix): tensor for name, tensor in document.items()}
        done.append(f"without {prefix!r} before its names")
    return document, ", ".join(done)


def _is_state_dict(document: Any) -> bool:
    return (
        isinstance(document, Mapping)
        and bool(document)
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in document.items())
    )


def _wrapper(document: Any) -> str | None:
    """Return the key of the tensors; None if the document is a state dict itself, or there is no such key."""
    if not isinstance(document, Mapping):
        return None
    return next((key for key in WRAPPERS if isinstance(document.get(key), Mapping) and document[key]), None)


def _common(state: Mapping[str, Tensor], prefixes: Sequence[str], heads: tuple[str, ...]) -> str | None:
    body = [name for name in state if not name.startswith(heads)] if heads else list(state)
    return next((prefix for prefix in prefixes if body and all(name.startswith(prefix) for name in body)), None)
