"""What every runtime of an exported file has in common."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Outputs(NamedTuple):
    """Of B images and C classes."""

    scores: np.ndarray
    """(B, C)."""
    attributes: np.ndarray
    """(B, K)."""
    patch_scores: np.ndarray
    """(B, windows)."""


class Runner(Protocol):
    """An exported file, loaded."""

    runtime: str
    """Name and version of what runs it."""

    def __call__(self, images: np.ndarray, class_attributes: np.ndarray, gamma: np.ndarray) -> Outputs:
        """Images (B, 3, H, W) as the file takes them, float32 (C, K) and (C,)."""
        ...
