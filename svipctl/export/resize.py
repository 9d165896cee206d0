"""Resize and crop bit for bit as PIL and torchvision do, with operations that every runtime supports.

A resized and cropped image has a fixed size, so both are one matrix product along each axis; the matrices are computed
from the image's height and width. No interpolation of a runtime is used, because it differs from PIL's. PIL computes
with weights of 22 binary places and rounds after each axis; in float64 its integers are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from svipctl.datasets.images import CROP_RATIO

_WEIGHT_STEPS = float(2**22)


def resize_and_crop(levels: Tensor, size: int) -> Tensor:
    """Resize the shorter side to size / CROP_RATIO and crop the centre, as `datasets.images.Geometry("shorter-side",
    size)`.

    Args:
        levels: (B, 3, H, W), whole numbers in 0..255.
        size: Side of the result. An image that already has this size is not changed.

    Returns:
        float32 (B, 3, size, size), whole levels.

    """
    columns, rows = (torch.arange(levels.shape[axis], dtype=torch.float64) for axis in (3, 2))
    width, height = columns[-1] + 1, rows[-1] + 1
    shorter = torch.minimum(width, height)
    as_it_is = (width == size) & (height == size)
    side = torch.where(as_it_is, float(size), float(round(size / CROP_RATIO))).double()
    # torchvision truncates the longer side to an integer.
    wide, high = torch.floor(side * width / shorter), torch.floor(side * height / shorter)
    across, down = _weights(columns, wide, size).T, _weights(rows, high, size)
    exact = levels.double()
    # Pillow's order, found by comparing with version 13; it matters because Pillow rounds after each axis.
    vertical_first = (height > 2 * width) & (high < height)
    resized = torch.where(
        vertical_first, _rounded(_rounded(down @ exact) @ across), _rounded(down @ _rounded(exact @ across))
    )
    return resized.float()


def _weights(places: Tensor, resized: Tensor, size: int) -> Tensor:
    """Return PIL's triangle filter for the cropped part of an axis: (size, length)."""
    scale = (places[-1] + 1) / resized
    first = torch.round((resized - size) / 2)
    centres = (torch.arange(size, dtype=torch.float64) + first + 0.5) * scale
    distances = (places - centres.unsqueeze(1) + 0.5) * (1 / scale.clamp_min(1.0))
    weights = (1 - distances.abs()).clamp_min(0.0)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return torch.floor(weights * _WEIGHT_STEPS + 0.5) / _WEIGHT_STEPS


def _rounded(levels: Tensor) -> Tensor:
    return torch.floor(levels + 0.5).clamp(0.0, 255.0)
