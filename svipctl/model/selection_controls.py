"""Controls of the patch selection: window scores that know nothing of what the method has learned.

Each gives (B, windows), high is related; the top M are then taken as always.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from svipctl.model.windows import WindowGrid


def random_scores(images: Tensor, windows: int, *, training: bool) -> Tensor:
    """Chance: new in each training step; at inference a function of the image, so that no batch changes an answer.

    Args:
        images: (B, ...) the network's input.
        windows: How many.
        training: Draw from torch's generator instead.

    """
    if training:
        return torch.rand(len(images), windows, device=images.device)
    # Bit patterns summed as whole numbers: the same in any order of summation.
    bits = images.detach().float().contiguous().view(torch.int32).flatten(1)
    draws = [
        torch.rand(windows, generator=torch.Generator().manual_seed(seed & (2**63 - 1)))
        for seed in bits.sum(dim=1, dtype=torch.int64).tolist()
    ]
    return torch.stack(draws).to(images.device)


def drawn_scores(seed: int, epoch: int, images: Tensor, windows: int) -> Tensor:
    """Chance in training: a function of seed, epoch and image, whichever process computes it and in how many parts.

    Args:
        seed: Of the run.
        epoch: Counted from 0.
        images: (B,) by index.
        windows: How many.

    """
    draws = [np.random.default_rng([seed, 5, epoch, image]).random(windows, np.float32) for image in images.tolist()]
    return torch.from_numpy(np.stack(draws))


def centre_scores(grid: WindowGrid, like: Tensor) -> Tensor:
    """Photographer's prior: minus the distance of a window's middle from the image's, the same for each of B images.

    Args:
        grid: The windows.
        like: (B, ...) on the wanted device.

    """
    rows, columns = grid.window_shape
    down = (torch.arange(rows, device=like.device) + 0.5) / rows - 0.5
    across = (torch.arange(columns, device=like.device) + 0.5) / columns - 0.5
    distances = torch.hypot(*torch.meshgrid(down, across, indexing="ij"))
    return -distances.flatten().expand(like.shape[0], -1)  # len() would fix the batch of an exported graph


def object_scores(coverage: Tensor, grid: WindowGrid) -> Tensor:
    """Oracle: the share of a window that shows the object (B, windows); equal shares are ordered by the centre prior."""
    return coverage + 1e-3 * centre_scores(grid, coverage)
