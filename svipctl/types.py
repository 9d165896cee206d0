"""Type aliases that every part of the library shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

ProgressCallback = Callable[[int, int], None]
"""Function that receives the number of items done so far and the total number of items."""

Precision = Literal["auto", "fp32", "bf16"]
"""Arithmetic of the network; `auto` is bf16 where the hardware has it, else fp32."""

MOST_RESAMPLES = 100_000
"""Largest number of bootstrap resamples."""

FEATURES = "features"
"""Name of the backbone whose output is read from a file (`data.features`)."""
Workers = int | Literal["auto"]
"""Processes that decode images, 0 for none; `auto` chooses by the device and the machine."""
