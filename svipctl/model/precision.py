"""Where half precision ends."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """At least float32: scores that are ranked, summed or divided must not be rounded to half precision."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
