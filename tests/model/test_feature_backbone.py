"""Test the backbone of features from a file: a vector is passed through unchanged, an image is refused."""

from __future__ import annotations

import pytest
import torch

from svipctl.errors import ConfigError
from svipctl.model.backbone import create_backbone, grid_of, mean_patch_tokens, stem_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP

VECTORS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


def test_a_vector_is_the_only_patch_and_is_unchanged() -> None:
    backbone = create_backbone("features", {"embed_dim": 5})
    assert grid_of(backbone) == (1, 1)
    assert list(backbone.parameters()) == []
    assert torch.equal(mean_patch_tokens(backbone, VECTORS[:, :, None, None]), VECTORS)


def test_the_linear_head_of_the_method_is_a_linear_map_of_the_vector() -> None:
    recipe = Recipe(passes="source", context="none")
    network = SVIP(create_backbone("features", {"embed_dim": 5}), 4, recipe, window=1, hidden=8)
    head = network.attribute_head
    expected = VECTORS @ head.weight.T + head.bias  # type: ignore[operator, union-attr]
    torch.testing.assert_close(network(VECTORS[:, :, None, None]), expected)


def test_images_are_refused() -> None:
    backbone = create_backbone("features", {"embed_dim": 5})
    assert stem_of(backbone) is not None
    with pytest.raises(ConfigError, match="takes precomputed features, not images"):
        mean_patch_tokens(backbone, torch.zeros(1, 3, 224, 224))


@pytest.mark.parametrize("arguments", [{}, {"embed_dim": 5, "depth": 2}, {"img_size": 64}])
def test_its_width_is_its_only_argument(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="whose width is its only argument"):
        create_backbone("features", arguments)
