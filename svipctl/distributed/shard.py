"""Divide batches among the processes of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svipctl.distributed.ranks import Ranks
from svipctl.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """The part of one process of the batches of `batch_size` images in `order`.

    The processes divide every batch, so that their number does not change the images of a step. If the last
    batch has fewer images than processes, a process without an image computes the first one with weight 0:
    every process has the same gradients to average.
    """

    order: NDArray[np.int64]
    batch_size: int
    ranks: Ranks

    def __post_init__(self) -> None:
        if self.batch_size < self.ranks.world:
            raise ConfigError(
                f"a batch of {self.batch_size} cannot be divided among {self.ranks.world} processes",
                todo="use a larger --batch-size, or fewer GPUs",
            )

    @property
    def size(self) -> int:
        """Images of a full batch that this process computes."""
        return len(self.ranks.share(range(self.batch_size)))

    def indices(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the images that this process computes in the steps from `start` to `stop` (exclusive)."""
        batches = [self._batch(step) for step in range(start, stop)]
        return np.concatenate([self.order[:0], *(batch[self._mine(batch)] for batch in batches)])

    def weight(self, step: int) -> float:
        """Return the share of this process's images in the batch of a step."""
        batch = self._batch(step)
        return len(self.ranks.share(range(len(batch)))) / len(batch)

    def _batch(self, step: int) -> NDArray[np.int64]:
        return self.order[step * self.batch_size :][: self.batch_size]

    def _mine(self, batch: NDArray[np.int64]) -> list[int]:
        return list(self.ranks.share(range(len(batch)))) or [0]
