"""Half precision: where the processor has it, and where it ends."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """At least float32: scores that are ranked, summed or divided must not be rounded to half precision."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@cache
def cpu_has_bf16() -> bool:
    """Whether the processor has bf16 dot products (AVX512-BF16 or AMX); elsewhere bf16 is emulated and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
