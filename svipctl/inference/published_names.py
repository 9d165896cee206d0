"""Convert the parameter names of the published checkpoint to ours, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

_HEADS = {
    "head_1.": "attribute_head.",
    "token_cls.": "patch_classifier.",
    "v2p.": "context.to_patch.",
    "p2t.": "context.across.",
}
_UNUSED = ("head.",)


def our_name(published: str) -> str | None:
    """Return our name of a parameter of the published network; None for its unused classifier (`head.*`)."""
    if published.startswith(_UNUSED):
        return None
    for theirs, ours in _HEADS.items():
        if published.startswith(theirs):
            return ours + published.removeprefix(theirs)
    return f"backbone.{published}"


def published_name(ours: str) -> str:
    """Invert `our_name`."""
    for theirs, prefix in _HEADS.items():
        if ours.startswith(prefix):
            return theirs + ours.removeprefix(prefix)
    return ours.removeprefix("backbone.")


def is_published(names: Iterable[str]) -> bool:
    """Return True if a state dict has the published names: ours have `backbone.` before timm's."""
    return not any(name.startswith("backbone.") for name in names)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published state dict under our names, without its unused classifier."""
    return {name: tensor for key, tensor in state.items() if (name := our_name(key)) is not None}
