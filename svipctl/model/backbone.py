"""Run a timm Vision Transformer in three steps: patches, blocks with their attention, norm.

The blocks' parameters and layers are timm's; only the order in which they are called is ours, so that attention is
available without hooks and without a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm import create_model, is_model, list_models
from timm.layers import Attention, HybridEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from svipctl.device import cpu_has_bf16
from svipctl.errors import ConfigError, nearest
from svipctl.model import lite, lite_weights
from svipctl.model.backbone_arguments import checked_arguments
from svipctl.model.feature_backbone import create_feature_backbone
from svipctl.model.rollout import AttentionInputs
from svipctl.types import FEATURES

RunBlock = Callable[[Block, Tensor], tuple[Tensor, AttentionInputs]]
"""Function from a block and its tokens (B, N, D) to the next tokens and the attention inputs."""

# Short names for the backbones the presets use, each with weights trained on ImageNet-1k only: they never saw the
# unseen classes of the benchmarks (method section 6). timm's own defaults for some of these names are ImageNet-21k.
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit_base": ("vit_base_patch16_224.augreg_in1k", {}),
    "deit_base": ("deit_base_patch16_224.fb_in1k", {}),
    "vit_small": ("vit_small_patch16_224.augreg_in1k", {}),
    "vit_tiny": ("deit_tiny_patch16_224.fb_in1k", {}),
    "vit_toy": (
        "vit_tiny_patch16_224",
        {"img_size": 64, "patch_size": 8, "embed_dim": 128, "depth": 4, "num_heads": 4},
    ),
}


def create_backbone(
    name: str, arguments: Mapping[str, Any] | None = None, *, pretrained: bool = False
) -> VisionTransformer:
    """Create a timm Vision Transformer without classifier.

    Args:
        name: `lite`, `features`, one of `ALIASES`, or any timm model that is a Vision Transformer, hybrids included.
        arguments: timm's constructor arguments of `BackboneArguments`, for instance `img_size`, `depth`.
        pretrained: Load timm's weights (downloaded if they are not cached); timm has none for `lite`.

    Raises:
        ConfigError: The name is unknown, the model is not a plain Vision Transformer, or an argument is wrong.

    """
    model_name, preset = ALIASES.get(name, (name, {}))
    if name not in (lite_weights.NAME, FEATURES) and not is_model(model_name):
        raise ConfigError(
            f"no backbone named {name!r}",
            why=nearest(name, [lite_weights.NAME, *ALIASES, *list_models("*vit*")]),
            todo="use one of these, or another Vision Transformer of timm",
        )
    given = checked_arguments(name, arguments or {})
    try:
        model: nn.Module
        if name == lite_weights.NAME:
            model = lite.create_lite(given)
        elif name == FEATURES:
            model = create_feature_backbone(given)
        else:
            model = create_model(model_name, pretrained=pretrained, num_classes=0, **{**preset, **given})
    except (TypeError, ValueError, AssertionError, ZeroDivisionError) as error:
        raise ConfigError(f"timm cannot build {name!r} with model.backbone_args", why=str(error)) from error
    check_supported(model, name)
    return cast(VisionTransformer, model)


def check_supported(model: nn.Module, name: str) -> None:
    """Raise ConfigError unless `encode` computes exactly what timm's own forward would."""
    if isinstance(model, VisionTransformer) and not isinstance(model.patch_drop, nn.Identity):
        raise ConfigError(
            f"{name!r} drops patches in training", why="windows need every patch", todo="remove patch_drop_rate"
        )
    if not isinstance(model, VisionTransformer) or not all(
        type(block) is Block and type(block.attn) is Attention for block in model.blocks
    ):
        raise ConfigError(
            f"{name!r} is not a plain Vision Transformer",
            why="svipctl runs timm's VisionTransformer with pre-norm blocks, with a patch or a hybrid embedding",
            todo="use another backbone, for instance --backbone vit_small",
        )


def has_class_token(vit: VisionTransformer) -> bool:
    """Return True if the first token is a class token (it may be missing, or a register may come first)."""
    return vit.cls_token is not None


def grid_of(vit: VisionTransformer) -> tuple[int, int]:
    """Return rows and columns of the patch grid."""
    rows, columns = vit.patch_embed.grid_size
    return int(rows), int(columns)


def image_size_of(vit: VisionTransformer) -> int:
    """Return the side of the square input image in pixels; raise ConfigError if the input is not square."""
    height, width = vit.patch_embed.img_size
    if height != width:
        raise ConfigError(
            f"the backbone takes images of {height} x {width} pixels",
            why="every image is resized to a square",
            todo=f"set img_size = {max(height, width)} in model.backbone_args",
        )
    return int(height)


def stem_of(vit: VisionTransformer) -> nn.Module | None:
    """Return the convolutional network of a hybrid's patch embedding; None for a plain Vision Transformer."""
    return vit.patch_embed.backbone if isinstance(vit.patch_embed, HybridEmbed) else None


def stem_features(vit: VisionTransformer, images: Tensor) -> Tensor:
    """Return the feature map of a hybrid's stem: images (B, 3, H, W) -> (B, channels, rows, columns)."""
    stem = stem_of(vit)
    assert stem is not None, "not a hybrid"
    # On a CPU, convolutions with channels last take half the time; the values are the same.
    features: Tensor | list[Tensor] = stem(images.contiguous(memory_format=torch.channels_last))
    return features[-1] if isinstance(features, list) else features


def mean_stem_features(vit: VisionTransformer, images: Tensor) -> Tensor:
    """Return the mean over the positions of a hybrid's feature map: (B, 3, H, W) -> float32 (B, channels)."""
    return stem_features(vit, images).double().mean(dim=(2, 3)).float()


def embed_patches(vit: VisionTransformer, images: Tensor) -> Tensor:
    """Return patch embeddings (B, patches, D) of images (B, 3, H, W), without position embedding or class token.

    A hybrid also accepts the output of `stem_features` in place of the images.
    """
    if stem_of(vit) is not None:
        are_features = images.shape[1] == vit.patch_embed.feature_dim
        features = images if are_features else stem_features(vit, images)
        return cast(Tensor, vit.patch_embed.proj(features)).flatten(2).transpose(1, 2)
    tokens: Tensor = vit.patch_embed(images)
    return tokens.flatten(1, 2) if tokens.ndim == 4 else tokens


def encode(
    vit: VisionTransformer,
    patches: Tensor,
    *,
    keep_attention: bool = True,
    keep_prefix: bool = False,
    run: RunBlock | None = None,
) -> tuple[Tensor, list[AttentionInputs]]:
    """Add class token and position embedding, and apply all blocks and the final norm.

    Args:
        vit: The backbone.
        patches: (B, patches, D), from `embed_patches`, possibly contextualized.
        keep_attention: Keep the inputs of the rollout, which takes additional memory if there are no gradients.
        keep_prefix: Return the class token and registers too, first.
        run: Function that computes a block: `run_block` (default), `run_block_keeping_attention`, compiled, or
            `recomputed`.

    Returns:
        The patch tokens after the norm (B, patches, D), with prefix tokens if requested, and each block's attention
        inputs.

    """
    if vit.dynamic_img_size:
        patches = patches.reshape(len(patches), *grid_of(vit), -1)
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(patches)))
    run = run or run_block
    attention = []
    for block in vit.blocks:
        tokens, inputs = run(cast(Block, block), tokens)
        if keep_attention:
            attention.append(inputs)
    return vit.fc_norm(vit.norm(tokens))[:, 0 if keep_prefix else vit.num_prefix_tokens :], attention


def mean_patch_tokens(vit: VisionTransformer, images: Tensor) -> Tensor:
    """Return the mean patch token after the final norm: (B, 3, H, W) -> float32 (B, D)."""
    tokens, _ = encode(vit, embed_patches(vit, images), keep_attention=False)
    return tokens.float().mean(dim=1)


def run_block(block: Block, tokens: Tensor) -> tuple[Tensor, AttentionInputs]:
    """Run a pre-norm block, as timm's `Block.forward`, and return its attention inputs too."""
    tokens, inputs = _attention_half(block, tokens)
    return _mlp_half(block, tokens), inputs


def run_block_keeping_attention(block: Block, tokens: Tensor) -> tuple[Tensor, AttentionInputs]:
    """Run a block without keeping the inner activations of the MLP, the larger part of its activations.

    Its first layer is computed again for the backward pass, about a ninth of a training step's operations, and with
    LayerScale, which needs what the second layer gave, that one too.
    """
    tokens, inputs = _attention_half(block, tokens)
    if not torch.is_grad_enabled():
        return _mlp_half(block, tokens), inputs
    return checkpoint(_mlp_half, block, tokens, use_reentrant=False), inputs


def recomputed(run: RunBlock) -> RunBlock:
    """Return a version of `run` that recomputes a block's inner activations in the backward pass instead of keeping
    them.
    """

    def run_again(block: Block, tokens: Tensor) -> tuple[Tensor, AttentionInputs]:
        if not torch.is_grad_enabled():
            return run(block, tokens)
        return checkpoint(run, block, tokens, use_reentrant=False)

    return run_again


def _attention_half(block: Block, tokens: Tensor) -> tuple[Tensor, AttentionInputs]:
    attended, inputs = _attend(cast(Attention, block.attn), block.norm1(tokens))
    return tokens + _through(block.drop_path1, _through(block.ls1, attended)), inputs


def _mlp_half(block: Block, tokens: Tensor) -> Tensor:
    return tokens + _through(block.drop_path2, _through(block.ls2, block.mlp(block.norm2(tokens))))


def _through(module: nn.Module, values: Tensor) -> Tensor:
    """Apply a module, unless it does nothing: some hundred calls in a step, for which a GPU would wait."""
    return values if type(module) is nn.Identity else cast(Tensor, module(values))


def _attend(attention: Attention, tokens: Tensor) -> tuple[Tensor, AttentionInputs]:
    """Apply multi-head self-attention, as timm's `Attention.forward`."""
    batch, length, _ = tokens.shape
    qkv = attention.qkv(tokens).reshape(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys, values = qkv.unbind(0)
    queries, keys = _through(attention.q_norm, queries), _through(attention.k_norm, keys)
    attended = _through(attention.norm, _mix(attention, queries, keys, values).transpose(1, 2).flatten(2))
    gate = getattr(attention, "gate", None)
    if gate is not None:
        attended = attended * torch.sigmoid(gate(tokens))
    if torch.compiler.is_compiling():  # a compiled function cannot return views of tensors that it keeps
        queries, keys = queries.clone(), keys.clone()
    return attention.proj_drop(attention.proj(attended)), AttentionInputs(queries, keys, attention.scale)


def _mix(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return values mixed by attention, (B, heads, N, head width) each, with torch's fused kernel if it is faster."""
    in_half = queries.device.type == "cpu" and queries.dtype == torch.bfloat16
    if in_half and (queries.requires_grad or torch.compiler.is_compiling() or cpu_has_bf16()):
        # With bf16 units these two products take half the time of the fused kernel (batch 8, 197 tokens); its backward
        # pass takes four times theirs. The compiler does not know the processor's units.
        weights = (queries * attention.scale @ keys.transpose(-2, -1)).softmax(dim=-1)
        return cast(Tensor, attention.attn_drop(weights).to(values.dtype) @ values)
    dropout = attention.attn_drop.p if attention.training else 0.0
    return F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=attention.scale)
