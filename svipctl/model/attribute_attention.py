"""An attribute head that attends to different windows for each attribute."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svipctl.device import full_precision


class AttributeAttention(nn.Module):
    """Attention of each attribute over the windows (DAZLE: Huynh & Elhamifar, CVPR 2020, equations 1 to 3).

    A linear map gives the value of each attribute in a window. The weight of the window for an attribute is the
    dot product of its key with the attribute's query, softmax over windows. Queries are learned, or the attributes'
    word vectors as in DAZLE.
    """

    words: Tensor

    def __init__(self, width: int, attributes: int, *, rank: int = 64, words: Tensor | None = None) -> None:
        """Build the head.

        Args:
            width: Width of a window's features.
            attributes: Number of attributes, K.
            rank: Width of learned queries.
            words: (K, words) word vectors of the attributes, used as queries instead of learned ones.

        """
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.value = nn.Linear(width, attributes)
        self.key = nn.Linear(width, rank if words is None else words.shape[1])
        if words is None:
            self.query = nn.Parameter(torch.randn(attributes, rank) * 0.1 * rank**-0.5)
        else:
            self.register_buffer("words", words.clone())

    @property
    def out_features(self) -> int:
        """Number of attributes, K."""
        return self.value.out_features

    def forward(self, windows: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return the contribution of each window to each attribute.

        Args:
            windows: (B, windows, width).
            chosen: bool (B, windows), the windows to attend to; all if None.

        Returns:
            (B, windows, K). The mean over the chosen windows is the predicted attribute vector.

        """
        windows = self.norm(windows)
        queries = self.query if hasattr(self, "query") else self.words
        logits = full_precision(self.key(windows) @ queries.T)
        count: Tensor | int = windows.shape[1]
        if chosen is not None:
            logits = logits.masked_fill(~chosen.unsqueeze(-1), -torch.inf)
            count = chosen.sum(dim=1).view(-1, 1, 1)
        return count * logits.softmax(dim=1) * full_precision(self.value(windows))
