"""Compare patch scores with products of full attention matrices in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from svipctl.model.rollout import (
    AttentionInputs,
    last_attention_scores,
    paper_rollout_scores,
    rollout_scores,
    similarity_scores,
)

HEADS, TOKENS, WIDTH, DEPTH = 3, 9, 4, 4


@pytest.fixture(params=[0, 1, 3], ids=lambda prefix: f"prefix{prefix}")
def prefix(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def blocks() -> list[AttentionInputs]:
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(2, DEPTH, 2, HEADS, TOKENS, WIDTH, generator=generator, dtype=torch.float64)
    return [AttentionInputs(q, k, WIDTH**-0.5) for q, k in zip(queries, keys)]


def heads(block: AttentionInputs) -> Tensor:
    """Return the attention of every head by explicit exponentials, (B, heads, N, N)."""
    products = torch.einsum("bhid,bhjd->bhij", block.queries, block.keys) * block.scale
    exponentials = products.exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


def start(prefix: int) -> Tensor:
    return torch.eye(TOKENS, dtype=torch.float64)[0] if prefix else torch.full((TOKENS,), 1 / TOKENS).double()


def test_attention_rows_equal_the_explicit_softmax(blocks: list[AttentionInputs]) -> None:
    expected = heads(blocks[0]).mean(dim=1)
    torch.testing.assert_close(blocks[0].rows(), expected)
    torch.testing.assert_close(blocks[0].rows(first=2), expected[:, :2])


def test_rollout_row_equals_the_full_matrix_product(blocks: list[AttentionInputs], prefix: int) -> None:
    product = torch.eye(TOKENS, dtype=torch.float64)
    for block in blocks:
        attention = heads(block).mean(dim=1) + torch.eye(TOKENS, dtype=torch.float64)
        product = attention / attention.sum(dim=-1, keepdim=True) @ product
    expected = (start(prefix) @ product)[:, prefix:]
    torch.testing.assert_close(rollout_scores(blocks, prefix=prefix, class_token=prefix > 0), expected)


def test_rollout_depends_on_the_order_of_the_blocks(blocks: list[AttentionInputs]) -> None:
    backwards = rollout_scores(blocks[::-1], prefix=1, class_token=1 > 0)
    assert not torch.allclose(rollout_scores(blocks, prefix=1, class_token=1 > 0), backwards)


def test_rollout_row_without_prefix_sums_to_one(blocks: list[AttentionInputs]) -> None:
    torch.testing.assert_close(
        rollout_scores(blocks, prefix=0, class_token=0 > 0).sum(dim=-1), torch.ones(2, dtype=torch.float64)
    )


def test_paper_rollout_is_proportional_to_the_papers_unnormalised_recursion(
    blocks: list[AttentionInputs], prefix: int
) -> None:
    weights = torch.eye(TOKENS, dtype=torch.float64).expand(2, -1, -1)
    for block in blocks:
        weights = weights + weights @ heads(block).sum(dim=1)
    row = start(prefix) @ weights
    expected = (row / row.sum(dim=-1, keepdim=True))[:, prefix:]
    torch.testing.assert_close(paper_rollout_scores(blocks, prefix=prefix, class_token=prefix > 0), expected)


def test_last_attention_is_the_class_row_of_the_last_block(blocks: list[AttentionInputs], prefix: int) -> None:
    attention = heads(blocks[-1]).mean(dim=1)
    expected = attention[:, 0] if prefix else attention.mean(dim=1)
    torch.testing.assert_close(
        last_attention_scores(blocks, prefix=prefix, class_token=prefix > 0), expected[:, prefix:]
    )


def test_similarity_is_the_dot_product_with_the_mean_window() -> None:
    windows = torch.randn(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [[float(window @ image.mean(dim=0)) for window in image] for image in windows]
    torch.testing.assert_close(similarity_scores(windows), torch.tensor(expected, dtype=torch.float64))


def test_scores_carry_no_gradient() -> None:
    queries = torch.randn(1, 1, 4, 2, requires_grad=True)
    blocks = [AttentionInputs(queries, queries, 1.0)]
    for scores in (
        rollout_scores(blocks, prefix=1, class_token=1 > 0),
        similarity_scores(queries[0]),
        paper_rollout_scores(blocks, prefix=1, class_token=1 > 0),
    ):
        assert not scores.requires_grad


def test_half_precision_inputs_give_full_precision_rows(blocks: list[AttentionInputs]) -> None:
    half = AttentionInputs(blocks[0].queries.bfloat16(), blocks[0].keys.bfloat16(), blocks[0].scale)
    rows = half.rows()
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.sum(dim=-1), torch.ones(2, TOKENS))
