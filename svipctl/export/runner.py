"""Define the interface of the runtimes of exported files."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Outputs(NamedTuple):
    """Outputs for B images and C classes."""

    scores: np.ndarray
    """(B, C)."""
    attributes: np.ndarray
    """(B, K)."""
    patch_scores: np.ndarray
    """(B, windows)."""


class Runner(Protocol):
    """A loaded exported file."""

    runtime: str
    """Name and version of the runtime."""

    def __call__(self, images: np.ndarray, class_attributes: np.ndarray, gamma: np.ndarray) -> Outputs:
        """Run the file on images (B, 3, H, W) in its own form, class attributes float32 (C, K) and gamma (C,)."""
        ...
