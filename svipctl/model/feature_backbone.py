"""Create the backbone `features`, whose only patch is an image's features from a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from timm.layers import HybridEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from svipctl.errors import ConfigError

_BARE: dict[str, Any] = {"class_token": False, "pos_embed": "none", "global_pool": "", "final_norm": False}


class NoImages(nn.Module):
    """Stem of the backbone `features`, whose output is read from the file."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, images: Tensor) -> Tensor:
        """Raise ConfigError: the network takes no images."""
        raise ConfigError(
            "this network takes precomputed features, not images",
            why="it was trained with --features",
            todo="svipctl eval DATASET uses the feature file of the run; --features FILE names another",
        )


def create_feature_backbone(arguments: Mapping[str, Any]) -> VisionTransformer:
    """Return the backbone, which has no parameters.

    Args:
        arguments: `embed_dim`, the number of features of an image.

    Raises:
        ValueError: It is missing, or there are others.

    """
    if set(arguments) != {"embed_dim"}:
        raise ValueError("it reads features of a file (data.features), whose width is its only argument")
    width = arguments["embed_dim"]
    embed = partial(HybridEmbed, backbone=NoImages(width), feature_size=1, proj=False)
    vit = VisionTransformer(
        **_BARE, patch_size=1, num_classes=0, embed_layer=embed, embed_dim=width, depth=0, num_heads=1
    )
    config: Any = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # of images, which it has none of
    vit.pretrained_cfg = config
    return vit
