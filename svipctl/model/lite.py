"""Create the backbone `lite`: EfficientNet-lite0 followed by a small Vision Transformer, timm's hybrid pattern.

The stem's feature map is the patch embedding: 7x7 patches of 1,280 channels at stride 32 for an image of 224 pixels,
projected to the transformer's width. Its weights, trained on ImageNet-1k only, come from a registry package
(Apache-2.0), so a pretrained backbone needs no model hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm import create_model
from timm.layers import HybridEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from svipctl.errors import DataError

_STEM = "tf_efficientnet_lite0"
_STRIDES: dict[int, dict[str, Any]] = {
    16: {"features_only": True, "out_indices": (3,)},
    32: {"num_classes": 0, "global_pool": ""},
}
_TRANSFORMER: dict[str, Any] = {"img_size": 224, "embed_dim": 128, "depth": 2, "num_heads": 4}

_CHANNELS = {16: 112, 32: 1280}
_BARE: dict[str, Any] = {"class_token": False, "pos_embed": "none", "global_pool": "", "final_norm": False}


def create_lite(arguments: Mapping[str, Any]) -> VisionTransformer:
    """Create the backbone with random weights.

    Args:
        arguments: Arguments of timm's `VisionTransformer` (defaults: `img_size` 224, `embed_dim` 128, `depth` 2,
            `num_heads` 4) and `stride`: 32 (default, the 1,280 channels before timm's pooling) or 16 (112 channels).
            With `depth` 0 the tokens are the stem's patches: no projection, class token, position embedding or norm.

    Raises:
        ValueError, TypeError, AssertionError: An argument is wrong.

    """
    arguments = {**_TRANSFORMER, **arguments}
    stride = arguments.pop("stride", 32)
    if stride not in _STRIDES:
        raise ValueError(f"stride = {stride!r}: the stem has feature maps at stride 16 and 32")
    stem = create_model(_STEM, **_STRIDES[stride])
    embed = partial(HybridEmbed, backbone=stem)
    if arguments["depth"] == 0:
        arguments |= _BARE | {"embed_dim": _CHANNELS[stride]}
        embed = partial(embed, proj=False)
    vit = VisionTransformer(**{"patch_size": 1, "num_classes": 0, "embed_layer": embed, **arguments})
    vit.pretrained_cfg = stem.pretrained_cfg
    return vit


def load_stem(vit: VisionTransformer, state: Mapping[str, Tensor], path: Path) -> None:
    """Load EfficientNet-lite0's tensors by order, because their names differ.

    Args:
        vit: Backbone from `create_lite`.
        state: All tensors of the network, classifier included, in timm's order.
        path: Their file, for the messages.

    Raises:
        DataError: A tensor does not match that of the network.

    """
    with torch.device("meta"):
        expected = create_model(_STEM).state_dict()
    problems = [f"{len(state)} tensors, not {len(expected)}"] if len(state) != len(expected) else []
    problems += [
        f"{theirs} {tuple(tensor.shape)} instead of {ours} {tuple(expected[ours].shape)}"
        for (theirs, tensor), ours in zip(state.items(), expected)
        if tensor.shape != expected[ours].shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]
    ]
    if problems:
        raise DataError(f"{path} is not EfficientNet-lite0", why="\n".join(f"- {problem}" for problem in problems[:5]))
    stem: nn.Module = vit.patch_embed.backbone
    named = dict(zip(expected, state.values()))
    stem.load_state_dict({name: named[name] for name in stem.state_dict()})
