"""Run exported files: one function of arrays for all runtimes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch


class Outputs(NamedTuple):
    """Outputs for B images and C classes."""

    scores: np.ndarray
    """(B, C)."""
    attributes: np.ndarray
    """(B, K)."""
    patch_scores: np.ndarray
    """(B, windows)."""


@dataclass(frozen=True)
class Runner:
    """A loaded exported file."""

    runtime: str
    """Name and version of the runtime."""
    run: Callable[..., Iterable[np.ndarray]]
    """Function of the three input arrays."""

    @classmethod
    def of_module(cls, runtime: str, module: torch.nn.Module) -> Runner:
        """Return the runner of a torch module on the CPU."""

        @torch.no_grad()
        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            return [output.numpy() for output in module(*map(torch.from_numpy, arrays))]

        return cls(f"{runtime}, torch {torch.__version__}", run)

    def __call__(self, images: np.ndarray, class_attributes: np.ndarray, gamma: np.ndarray) -> Outputs:
        """Run the file on images (B, 3, H, W) in its own form, class attributes float32 (C, K) and gamma (C,)."""
        return Outputs(*self.run(images, class_attributes, gamma))
