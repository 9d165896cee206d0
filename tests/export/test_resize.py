"""Test that resizing inside the graph gives PIL's and torchvision's pixels exactly."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from svipctl.datasets.images import Transform, channels_first
from svipctl.export.resize import resize_and_crop


def both(height: int, width: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    ours = resize_and_crop(channels_first(np.asarray(picture)).float().unsqueeze(0), size)[0]
    return ours, Transform(size)(picture).float()


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([7, 32, 64]), st.integers(0, 99))
@settings(max_examples=60)
def test_any_image_is_resized_and_cropped_bit_for_bit(height: int, width: int, size: int, seed: int) -> None:
    # Pillow before 13 takes the axes of very high images in the other order: one level of rounding.
    ours, theirs = both(height, width, size, seed)
    allowed = 1 if height > 2 * width else 0
    assert (ours - theirs).abs().max() <= allowed


def test_an_image_of_the_networks_size_is_used_unchanged() -> None:
    picture = torch.randint(0, 256, (2, 3, 32, 32)).float()
    assert torch.equal(resize_and_crop(picture, 32), picture)


def test_photographs_of_either_orientation_are_exact() -> None:
    for height, width in ((375, 500), (500, 375), (224, 225), (600, 256)):
        ours, theirs = both(height, width, 224, 1)
        assert torch.equal(ours, theirs)
