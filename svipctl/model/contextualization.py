"""Patch semantic contextualization (PSC): compute the vector that is added to unrelated windows."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class WordContext(nn.Module):
    """One window vector from the word vectors of all attribute names (paper section 3.3).

    Two linear maps: word width -> patch width on each attribute (`to_patch`), attributes -> patches of a window
    across attributes (`across`).
    """

    word_vectors: Tensor

    def __init__(
        self,
        word_vectors: Tensor,
        patch_width: int,
        patches_per_window: int,
        layout: Literal["patch-major", "channel-major"],
    ) -> None:
        """Create the maps of `word_vectors` (K, words); `layout` channel-major is the published flattening (D x
        patches).
        """
        super().__init__()
        attributes, width = word_vectors.shape
        self.register_buffer("word_vectors", word_vectors)
        self.to_patch = nn.Linear(width, patch_width)
        self.across = nn.Linear(attributes, patches_per_window)
        self.layout = layout

    def forward(self) -> Tensor:
        """Return the window vector e, (patches_per_window * patch_width,)."""
        context: Tensor = self.across(self.to_patch(self.word_vectors).T)
        return context.flatten() if self.layout == "channel-major" else context.T.flatten()


class FreeContext(nn.Module):
    """Control: e is one learned vector without word vectors, zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(width))

    def forward(self) -> Tensor:
        """Return the window vector e, (width,)."""
        return self.vector


class NoContext(nn.Module):
    """Control: e = 0, so that both passes have the same tokens."""

    zero: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(width), persistent=False)

    def forward(self) -> Tensor:
        """Return the window vector e = 0, (width,)."""
        return self.zero
