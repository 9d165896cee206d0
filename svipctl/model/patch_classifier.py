"""Self-supervised patch selection (SSPS): which windows of the input embedding are unrelated to the object."""

from __future__ import annotations

from torch import Tensor, nn

HIDDEN = 512


class PatchClassifier(nn.Sequential):
    """Linear - ReLU - Linear on each window of patch embeddings (paper section 3.2).

    `forward` maps (B, windows, width) to logits (B, windows, 1); their sigmoid is the probability that the window is
    semantically unrelated.
    """

    def __init__(self, width: int, hidden: int = HIDDEN) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def logits(self, windows: Tensor) -> Tensor:
        """(B, windows, width) -> (B, windows)."""
        logits: Tensor = self(windows)
        return logits.squeeze(-1)
