"""Self-supervised patch selection (SSPS): classify the windows of the input embedding as related or unrelated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svipctl.device import full_precision, no_autocast

HIDDEN = 512


class PatchClassifier(nn.Sequential):
    """Linear - ReLU - Linear on each window of patch embeddings (paper section 3.2).

    `forward` maps (B, windows, width) to logits (B, windows, 1); their sigmoid is the probability that the window is
    semantically unrelated.
    """

    def __init__(self, width: int, hidden: int = HIDDEN) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def logits(self, windows: Tensor) -> Tensor:
        """Return logits (B, windows) of windows (B, windows, width); in full precision, because half precision causes
        ties.
        """
        first, activation, last = self
        hidden = activation(first(windows))
        with no_autocast(hidden):
            logits: Tensor = last(full_precision(hidden))
        return logits.squeeze(-1)


@torch.no_grad()
def ranking_quality(logits: Tensor, unrelated: Tensor) -> tuple[Tensor, Tensor]:
    """Return AUC and recall of ranking the unrelated windows above the related ones, averaged over images.

    Accuracy is uninformative: the majority class alone gives M / windows.

    Args:
        logits: (B, windows).
        unrelated: bool (B, windows), the labels.

    Returns:
        AUC (chance and an image whose windows are all alike give 0.5), and the share of the unrelated windows found
        among as many highest logits (1 when there are none to find). Equal logits are ranked as a random order would on
        average, so that a classifier with the same logit for every window is at chance in both.

    """
    above = (logits.unsqueeze(-1) > logits.unsqueeze(-2)).double()
    ties = (logits.unsqueeze(-1) == logits.unsqueeze(-2)).double()
    positive, negative = unrelated.double(), (~unrelated).double()
    pairs = positive.sum(dim=-1) * negative.sum(dim=-1)
    won = torch.einsum("bi,bij,bj->b", positive, above + ties / 2, negative)
    auc = torch.where(pairs > 0, won / pairs.clamp_min(1), 0.5)

    wanted = positive.sum(dim=-1)
    ahead = above.sum(dim=-2)  # windows with a higher logit
    chosen = ((wanted.unsqueeze(-1) - ahead) / ties.sum(dim=-2)).clamp(0, 1)  # a part of a tie at the border
    found = (positive * chosen).sum(dim=-1)
    recall = torch.where(wanted > 0, found / wanted.clamp_min(1), 1.0)
    return auc.mean(), recall.mean()
