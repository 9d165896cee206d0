"""Resizing and cropping as PIL and torchvision do, in operations that every runtime has.

A resized and cropped image has a fixed size, so both are one matrix product along each axis; the matrices are computed
from the image's height and width. No interpolation of a runtime is used: they differ from PIL's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from svipctl.datasets.images import CROP_RATIO


def resize_and_crop(levels: Tensor, size: int) -> Tensor:
    """Shorter side to size / CROP_RATIO, then the centre crop, as `datasets.images.Geometry("shorter-side", size)`.

    Args:
        levels: (B, 3, H, W) in 0..255.
        size: Side of the result. An image that has this size already is taken as it is.

    Returns:
        (B, 3, size, size), whole levels as PIL rounds them: first along rows, then along columns.

    """
    columns, rows = torch.arange(levels.shape[3]), torch.arange(levels.shape[2])
    width, height = (columns[-1] + 1).float(), (rows[-1] + 1).float()
    shorter = torch.minimum(width, height)
    as_it_is = (width == size) & (height == size)
    side = torch.where(as_it_is, float(size), float(round(size / CROP_RATIO)))
    across = _weights(columns.float(), width, _resized(width, shorter, side), size)
    down = _weights(rows.float(), height, _resized(height, shorter, side), size)
    wide = _rounded(levels @ across.T)
    return _rounded(down @ wide)


def _resized(length: Tensor, shorter: Tensor, side: Tensor) -> Tensor:
    """Length of an axis after resizing; torchvision cuts the longer one down to a whole number."""
    # Half a thousandth keeps a quotient that is a whole number from falling just below it in float32.
    return torch.where(length == shorter, side, torch.floor(side * length / shorter + 5e-4))


def _weights(places: Tensor, length: Tensor, resized: Tensor, size: int) -> Tensor:
    """PIL's triangle filter for the cropped part of an axis: (size, length), rows sum to 1."""
    scale = length / resized
    reach = scale.clamp_min(1.0)
    first = torch.round((resized - size) / 2)
    centres = (torch.arange(size) + first + 0.5) * scale
    weights = (1 - (places + 0.5 - centres.unsqueeze(1)).abs() / reach).clamp_min(0.0)
    return weights / weights.sum(dim=1, keepdim=True)


def _rounded(levels: Tensor) -> Tensor:
    return torch.floor(levels + 0.5).clamp(0.0, 255.0)
