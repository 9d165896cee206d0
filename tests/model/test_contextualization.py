"""Test the vector e: from words, free, or none."""

from __future__ import annotations

import pytest
import torch

from svipctl.model.contextualization import FreeContext, NoContext, WordContext
from tests.model.tiny import words

ATTRIBUTES, WORD, WIDTH, PATCHES = 5, 7, 3, 4


@pytest.fixture
def contexts() -> dict[str, WordContext]:
    """Return both layouts with the same weights."""
    made = {name: WordContext(words(), WIDTH, PATCHES, name) for name in ("patch-major", "channel-major")}
    made["channel-major"].load_state_dict(made["patch-major"].state_dict())
    return made


def test_word_context_is_two_linear_maps_written_as_sums(contexts: dict[str, WordContext]) -> None:
    context = contexts["patch-major"].double()
    expected = torch.zeros(PATCHES, WIDTH, dtype=torch.float64)
    for patch in range(PATCHES):
        expected[patch] += context.across.bias[patch].detach()
        for attribute in range(ATTRIBUTES):
            on_patch = context.to_patch.weight @ context.word_vectors[attribute] + context.to_patch.bias
            expected[patch] += (context.across.weight[patch, attribute] * on_patch).detach()
    torch.testing.assert_close(context().detach(), expected.flatten())


def test_channel_major_is_the_transposed_flattening(contexts: dict[str, WordContext]) -> None:
    patch_major, channel_major = contexts["patch-major"](), contexts["channel-major"]()
    assert torch.equal(patch_major.reshape(PATCHES, WIDTH).T, channel_major.reshape(WIDTH, PATCHES))
    assert not torch.equal(patch_major, channel_major)


def test_word_vectors_are_saved_but_not_trained(contexts: dict[str, WordContext]) -> None:
    context = contexts["patch-major"]
    assert "word_vectors" in context.state_dict()
    assert {name for name, _ in context.named_parameters()} == {
        "to_patch.weight", "to_patch.bias", "across.weight", "across.bias",
    }  # fmt: skip


def test_free_context_is_one_learned_vector_that_starts_at_zero() -> None:
    context = FreeContext(6)
    assert context().tolist() == [0.0] * 6
    context().sum().backward()
    assert context.vector.grad is not None
    assert context.vector.grad.tolist() == [1.0] * 6


def test_no_context_is_zero_without_parameters_and_without_checkpoint_entries() -> None:
    context = NoContext(6)
    assert context().tolist() == [0.0] * 6
    assert not list(context.parameters())
    assert not context.state_dict()
