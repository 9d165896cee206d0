"""Run the published training step and inference in their plain form, as the baseline of svipctl's engine.

Written from the description of the published implementation (recipe `reference`), on svipctl's own parameters, so that
both compute the same numbers: fp32, eager, every block's attention kept as (B, heads, N, N), the rollout as products of
N x N matrices, the patch embedding once for each pass, Adam, and autograd's anomaly detection on, as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor

from svipctl.model.losses import Terms, TrainingOutput, training_loss
from svipctl.model.svip import SVIP
from svipctl.model.windows import top_mask


def training_step(
    model: SVIP,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    class_attributes: Tensor,
    groups: Tensor,
    *,
    anomaly_detection: bool = True,
) -> Terms:
    """Run forward, backward, clipping and the update."""
    with torch.autograd.set_detect_anomaly(anomaly_detection):
        terms = training_loss(training_pass(model, images), labels, class_attributes, groups, model.recipe)
        optimizer.zero_grad()
        terms.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return terms


def training_pass(model: SVIP, images: Tensor) -> TrainingOutput:
    """Run the source pass, the rollout and the contextualized pass."""
    vit, grid, keep = model.backbone, model.grid, model.keep
    patches = vit.patch_embed(images)
    unrelated_logits = model.patch_classifier(grid.group(patches)).squeeze(-1)
    tokens, attention = _encode(vit, patches)
    source = grid.group(tokens)
    scores = grid.average_runs(_rollout(attention))
    related = top_mask(scores, keep)
    source_attributes = _pooled(model.attribute_head(source), related)

    embedded = vit.patch_embed(images)
    tokens, _ = _encode(vit, embedded + grid.ungroup(model.context() * (~related).unsqueeze(-1)))
    contextualized = grid.group(tokens)
    similar = top_mask((contextualized @ contextualized.mean(dim=1).unsqueeze(-1)).squeeze(-1), keep)
    return TrainingOutput(
        source_attributes=source_attributes,
        contextualized_attributes=_pooled(model.attribute_head(contextualized), similar),
        patch_logits=unrelated_logits,
        patch_targets=(~related).float(),
    )


@torch.no_grad()
def inference(model: SVIP, images: Tensor) -> Tensor:
    """Return predicted attributes (B, K) of the single pass at test time."""
    vit, grid = model.backbone, model.grid
    patches = vit.patch_embed(images)
    logits = model.patch_classifier(grid.group(patches)).squeeze(-1)
    related = top_mask(-logits, model.keep)
    tokens, _ = _encode(vit, patches + grid.ungroup(model.context() * (~related).unsqueeze(-1)))
    return model.attribute_head(grid.group(tokens)).mean(dim=1)


def _encode(vit: VisionTransformer, patches: Tensor) -> tuple[Tensor, list[Tensor]]:
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(patches)))
    kept = []
    for block in vit.blocks:
        attended, attention = _attention(block, block.norm1(tokens))
        tokens = tokens + block.drop_path1(block.ls1(attended))
        tokens = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
        kept.append(attention)
    return vit.norm(tokens)[:, vit.num_prefix_tokens :], kept


def _attention(block: Block, tokens: Tensor) -> tuple[Tensor, Tensor]:
    attn = block.attn
    batch, length, width = tokens.shape
    qkv = attn.qkv(tokens).reshape(batch, length, 3, attn.num_heads, width // attn.num_heads).permute(2, 0, 3, 1, 4)
    queries, keys, values = qkv.unbind(0)
    attention = attn.attn_drop(((queries @ keys.transpose(-2, -1)) * attn.scale).softmax(dim=-1))
    tokens = (attention @ values).transpose(1, 2).reshape(batch, length, width)
    return attn.proj_drop(attn.proj(tokens)), attention


@torch.no_grad()
def _rollout(attention: Sequence[Tensor]) -> Tensor:
    """Return the class token's row of the product of all blocks' normalised (attention + identity): (B, patches)."""
    product = None
    for maps in attention:
        mixed = maps.mean(dim=1) + torch.eye(maps.shape[-1], device=maps.device)
        mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        product = mixed if product is None else mixed @ product
    return product[:, 0, 1:]


def _pooled(windows: Tensor, chosen: Tensor) -> Tensor:
    return torch.stack([one[mask].mean(dim=0) for one, mask in zip(windows, chosen)])
