"""Window scores for the controls of the patch selection, which ignore everything that the method has learned.

Each returns (B, windows), high is related; the top M are then selected as always.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from svipctl.model.windows import WindowGrid


def random_scores(images: Tensor, windows: int, *, training: bool) -> Tensor:
    """Return random scores: new in each training step; at inference a function of the image, independent of the
    batch.

    Args:
        images: (B, ...) input of the network.
        windows: Number of windows.
        training: Draw from torch's generator instead.

    """
    if training:
        return torch.rand(len(images), windows, device=images.device)
    # Bit patterns summed as integers: the same in any order of summation.
    bits = images.detach().float().contiguous().view(torch.int32).flatten(1)
    draws = [
        torch.rand(windows, generator=torch.Generator().manual_seed(seed & (2**63 - 1)))
        for seed in bits.sum(dim=1, dtype=torch.int64).tolist()
    ]
    return torch.stack(draws).to(images.device)


def drawn_scores(seed: int, epoch: int, images: Tensor, windows: int) -> Tensor:
    """Return random scores in training: a function of seed, epoch and image, independent of processes and parts.

    Args:
        seed: Random seed of the run.
        epoch: Counted from 0.
        images: (B,) indices of images.
        windows: Number of windows.

    """
    draws = [np.random.default_rng([seed, 5, epoch, image]).random(windows, np.float32) for image in images.tolist()]
    return torch.from_numpy(np.stack(draws))


def centre_scores(grid: WindowGrid, like: Tensor) -> Tensor:
    """Return minus the distance of each window from the centre of the image, the same for each of B images.

    Args:
        grid: Grid of the windows.
        like: (B, ...) tensor on the wanted device.

    """
    rows, columns = grid.window_shape
    down = (torch.arange(rows, device=like.device) + 0.5) / rows - 0.5
    across = (torch.arange(columns, device=like.device) + 0.5) / columns - 0.5
    distances = torch.hypot(*torch.meshgrid(down, across, indexing="ij"))
    return -distances.flatten().expand(like.shape[0], -1)  # len() would fix the batch of an exported graph


def object_scores(coverage: Tensor, grid: WindowGrid) -> Tensor:
    """Return the share of each window that shows the object (B, windows); ties are broken by the centre prior."""
    return coverage + 1e-3 * centre_scores(grid, coverage)
