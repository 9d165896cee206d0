"""Compute patch scores from a forward pass: attention rollout and the published alternatives, without gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from svipctl.device import full_precision


class AttentionInputs:
    """Queries and keys of one block, from which its attention is computed when it is needed.

    Autograd keeps both tensors for the backward pass anyway, so keeping them costs nothing; the N x N maps of all
    blocks never exist at once.
    """

    def __init__(self, queries: Tensor, keys: Tensor, scale: float) -> None:
        """Create the inputs: `queries` and `keys` are (B, heads, N, head width), `scale` is the factor on their
        product.
        """
        self.queries = queries.detach()
        self.keys = keys.detach()
        self.scale = scale

    def rows(self, first: int | None = None) -> Tensor:
        """Return head-averaged attention (B, N, N), or only its first rows (B, first, N); each row sums to 1."""
        queries, keys = full_precision(self.queries[:, :, :first]), full_precision(self.keys)
        return (queries * self.scale @ keys.transpose(-2, -1)).softmax(dim=-1).mean(dim=1)


@torch.no_grad()
def rollout_scores(blocks: Sequence[AttentionInputs], *, prefix: int, class_token: bool) -> Tensor:
    """Return the attention rollout from the class token to each patch (Abnar & Zuidema 2020; method section 3).

    The class token's row of A_L ... A_1, A = normalised(attention + I), as L vector-matrix products. Without a class
    token the mean of all rows replaces it.

    Args:
        blocks: Attention inputs of each block, first block first.
        prefix: Tokens before the patches.
        class_token: True if the first of them is a class token.

    Returns:
        (B, patches), the prefix tokens' own entries left out.

    """
    row: Tensor | None = None
    for block in reversed(blocks):
        if row is None and class_token:
            maps = block.rows(first=1)
            row, attention = _starting_row(maps, class_token), maps[:, 0]
        else:
            maps = block.rows()
            row = _starting_row(maps, class_token) if row is None else row
            attention = torch.einsum("bi,bij->bj", row, maps)
        row = attention + row  # twice the normalized one: halved once at the end, which is exact
    assert row is not None
    return row[:, prefix:].div(2 ** len(blocks))


@torch.no_grad()
def paper_rollout_scores(blocks: Sequence[AttentionInputs], *, prefix: int, class_token: bool) -> Tensor:
    """Return scores by the paper's recursion W^l = W^(l-1) + W^(l-1) T^l, heads summed, not normalized, class-token
    row.

    It grows with (1 + heads)^depth, so each step is divided by its sum: the ranking, all that is used, is unchanged.
    Returns (B, patches).
    """
    row: Tensor | None = None
    for block in blocks:
        maps = block.rows() * block.queries.shape[1]
        if row is None:
            row = _starting_row(maps, class_token)
        row = row + torch.einsum("bi,bij->bj", row, maps)
        row = row / row.sum(dim=-1, keepdim=True)
    assert row is not None
    return row[:, prefix:]


def _starting_row(maps: Tensor, class_token: bool) -> Tensor:
    """Return the starting row (B, N): the class token's unit vector, or without one the uniform distribution."""
    batch, _, tokens = maps.shape
    if not class_token:
        return maps.new_full((batch, tokens), 1 / tokens)
    row = maps.new_zeros((batch, tokens))
    row[:, 0] = 1
    return row


@torch.no_grad()
def last_attention_scores(blocks: Sequence[AttentionInputs], *, prefix: int, class_token: bool) -> Tensor:
    """Return the class token's attention in the last block, head mean (the published `attn` score), (B, patches)."""
    return layer_attention(blocks[-1:], prefix=prefix, class_token=class_token)[:, 0]


@torch.no_grad()
def layer_attention(blocks: Sequence[AttentionInputs], *, prefix: int, class_token: bool) -> Tensor:
    """Return the class token's attention on each patch in every block, head mean; without class token the mean of all
    rows.

    Returns (B, blocks, patches).
    """
    rows = [block.rows(first=1)[:, 0] if class_token else block.rows().mean(dim=1) for block in blocks]
    return torch.stack(rows, dim=1)[:, :, prefix:]


@torch.no_grad()
def similarity_scores(windows: Tensor) -> Tensor:
    """Return the dot product of each window feature with their mean: (B, windows, width) -> (B, windows).

    The published `cos` score, and its second selection in the contextualized pass.
    """
    windows = full_precision(windows.detach())
    return torch.einsum("bnd,bd->bn", windows, windows.mean(dim=1))
