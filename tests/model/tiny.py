"""Networks small enough to run hundreds of times on one core."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer

from svipctl.model.backbone import create_backbone
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP

ARGUMENTS: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
NAME = "vit_tiny_patch16_224"
ATTRIBUTES = 5


def vit(**changed: Any) -> VisionTransformer:
    """Return a 4x4 grid of 16-d patches; all parameters are random, so that no layer is initially the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_backbone(NAME, ARGUMENTS | changed)
    return scramble(network).eval()


def scramble(network: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


def words(attributes: int = ATTRIBUTES, width: int = 7) -> torch.Tensor:
    return torch.randn(attributes, width, generator=torch.Generator().manual_seed(3))


def svip(recipe: Recipe | None = None, *, window: int = 2, backbone: VisionTransformer | None = None) -> SVIP:
    backbone = backbone or vit()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SVIP(backbone, ATTRIBUTES, recipe or Recipe(), word_vectors=words(), window=window, hidden=8).eval()
    return fit_at_random(scramble(model, 1))


def fit_at_random(network: SVIP) -> SVIP:
    """Fill the parts that training fits to the seen classes and images with random values."""
    generator = torch.Generator().manual_seed(2)
    fitted = [network.scorer] if network.closed_form is None else [network.scorer, network.closed_form]
    for module in fitted:
        for buffer in module.buffers():
            buffer.copy_(torch.randn(buffer.shape, generator=generator))
    return network


def images(count: int = 3, size: int = 32, seed: int = 5) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
