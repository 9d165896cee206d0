"""Compare the attention of each attribute over the windows with loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from svipctl.model.attribute_attention import AttributeAttention

WIDTH, ATTRIBUTES, WINDOWS = 8, 5, 6


def head(words: bool) -> AttributeAttention:
    torch.manual_seed(0)
    made = AttributeAttention(WIDTH, ATTRIBUTES, rank=3, words=torch.randn(ATTRIBUTES, 4) if words else None)
    if not words:
        torch.nn.init.normal_(made.query)
    return made.double()


def attended(made: AttributeAttention, windows: Tensor, chosen: list[int]) -> Tensor:
    """Return the attributes (K,) of one image, attribute by attribute."""
    rows = F.layer_norm(windows, (WIDTH,), made.norm.weight, made.norm.bias)[chosen]
    queries = made.words if hasattr(made, "words") else made.query
    found = []
    for k in range(ATTRIBUTES):
        weights = torch.stack([made.key(row) @ queries[k] for row in rows]).softmax(dim=0)
        found.append(sum(weight * made.value(row)[k] for weight, row in zip(weights, rows)))
    return torch.stack(found)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("chosen", [None, [0, 2, 5], [3]])
@torch.no_grad()
def test_the_mean_over_chosen_windows_is_the_attended_attribute_vector(words: bool, chosen: list[int] | None) -> None:
    made, windows = head(words), torch.randn(2, WINDOWS, WIDTH, dtype=torch.float64)
    mask = None
    if chosen is not None:
        mask = torch.zeros(2, WINDOWS, dtype=torch.bool)
        mask[:, chosen] = True
    each = made(windows, mask)
    indices = chosen or list(range(WINDOWS))
    for image, parts in zip(windows, each):
        torch.testing.assert_close(parts[indices].mean(dim=0), attended(made, image, indices))
        if mask is not None:
            assert not parts[~mask[0]].any()


def test_learned_queries_start_close_to_mean_pooling() -> None:
    torch.manual_seed(1)
    made, windows = AttributeAttention(WIDTH, ATTRIBUTES), torch.randn(3, WINDOWS, WIDTH)
    pooled = made.value(made.norm(windows)).mean(dim=1)
    torch.testing.assert_close(made(windows).mean(dim=1), pooled, atol=0.1, rtol=0)
