"""Cut a grid of patches into square windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from svipctl.errors import ConfigError


@dataclass(frozen=True)
class WindowGrid:
    """A grid of rows x columns patches cut into side x side windows (method section 2; Swin's term)."""

    rows: int
    columns: int
    side: int

    def __post_init__(self) -> None:
        if self.side < 1 or self.rows % self.side or self.columns % self.side:
            raise ConfigError(
                f"windows of side {self.side} do not tile a grid of {self.rows}x{self.columns} patches",
                todo="set model.window to a divisor of the grid, for instance --set model.window=1",
            )

    @property
    def windows(self) -> int:
        """Number of windows."""
        return self.patches // self.patches_per_window

    @property
    def patches(self) -> int:
        """Number of patches."""
        return self.rows * self.columns

    @property
    def window_shape(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return self.rows // self.side, self.columns // self.side

    @property
    def patches_per_window(self) -> int:
        """Patches in one window."""
        return self.side**2

    def group(self, tokens: Tensor) -> Tensor:
        """Concatenate the tokens of each window in raster order: (B, patches, D) -> (B, windows, side*side*D)."""
        batch, _, width = tokens.shape
        blocks = tokens.reshape(batch, self.rows // self.side, self.side, self.columns // self.side, self.side, width)
        return blocks.transpose(2, 3).reshape(batch, self.windows, self.patches_per_window * width)

    def ungroup(self, windows: Tensor) -> Tensor:
        """Invert `group`: (B, windows, side*side*D) -> (B, patches, D)."""
        batch, _, width = windows.shape
        blocks = windows.reshape(
            batch,
            self.rows // self.side,
            self.columns // self.side,
            self.side,
            self.side,
            width // self.patches_per_window,
        )
        return blocks.transpose(2, 3).reshape(batch, self.patches, -1)

    def average(self, scores: Tensor) -> Tensor:
        """Return the mean patch score of each window: (B, patches) -> (B, windows)."""
        return self.group(scores.unsqueeze(-1)).mean(dim=-1)

    def average_runs(self, scores: Tensor) -> Tensor:
        """Return means over runs of raster-consecutive patches, as the published code pools: (B, patches) -> (B,
        windows).

        With side above 1 a run is not a window, so most patches count for the wrong window.
        """
        return scores.reshape(scores.shape[0], self.windows, self.patches_per_window).mean(dim=-1)


def top_mask(scores: Tensor, count: int) -> Tensor:
    """Return True at the `count` highest scores of each row: (B, windows) -> bool (B, windows)."""
    chosen = scores.topk(count, dim=-1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, chosen, True)
