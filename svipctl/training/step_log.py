"""Log the metrics of an epoch's steps: keep them on the device and read them together, so that no step waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.errors import CheckFailed, shortened
from svipctl.training.step import FIGURES

PUBLISHED_ACCURACY = "accuracy"
"""Name in the published code of the accuracy of the contextualized pass; the recipe `reference` reports it too."""
_SHARES = frozenset(
    ["source_accuracy", "contextualized_accuracy", "patch_accuracy", "patch_auc", "patch_recall", PUBLISHED_ACCURACY]
)
Record = dict[str, Any]


class StepLog:
    """Metrics of the steps of one epoch.

    Attributes:
        sums: Name of a metric -> sum over all steps read so far.

    """

    def __init__(
        self,
        epoch: int,
        sums: Mapping[str, float],
        *,
        learning_rate: Callable[[int], float],
        images: Callable[[int], Sequence[str]],
        write: Callable[[Sequence[Record]], None],
        ranks: Ranks = ALONE,
        published: bool = False,
    ) -> None:
        """Start the log of an epoch, or continue it.

        Args:
            epoch: Counted from 0.
            sums: Sum of each metric over the earlier steps, empty at the start. A metric that those steps did not have
                has no mean in this epoch.
            learning_rate: Function of a step of this epoch, counted from 0.
            images: Function that returns the files of a step's batch.
            write: Function that receives the records that have been read, oldest first.
            ranks: The processes over which metrics are summed; all read at the same steps.
            published: Also report the published code's `accuracy`.

        """
        self.epoch = epoch
        self.sums = dict(sums) or dict.fromkeys(FIGURES, 0.0)
        self._published = published
        self._learning_rate = learning_rate
        self._images = images
        self._write = write
        self._ranks = ranks
        self._unread: list[tuple[int, Tensor]] = []

    def add(self, step: int, figures: Tensor) -> None:
        """Add the metrics of a step, counted from 0; they stay on the device."""
        self._unread.append((step, figures))

    def read(self) -> None:
        """Transfer the metrics from the device, check them, and write them.

        Raises:
            CheckFailed: A metric is not finite; names the step, the term and the images. Earlier records are written.

        """
        if not self._unread:
            return
        rows = self._ranks.sum(torch.stack([figures for _, figures in self._unread])).tolist()
        steps, self._unread = [step for step, _ in self._unread], []
        records: list[Record] = []
        try:
            for step, row in zip(steps, rows):
                self._check(step, row)
                figures = dict(zip(FIGURES, row))
                self.sums = {name: total + figures[name] for name, total in self.sums.items()}
                place = {"epoch": self.epoch + 1, "step": step + 1, "lr": self._learning_rate(step)}
                records.append(place | self._shown(figures))
        finally:
            self._write(records)

    def means(self, steps: int) -> dict[str, float]:
        """Return means over the first `steps` steps of the epoch, shares in percent."""
        return self._shown({name: total / steps for name, total in self.sums.items()})

    def _shown(self, figures: dict[str, float]) -> dict[str, float]:
        """Return metrics as they are reported, shares in percent."""
        if self._published and "contextualized_accuracy" in figures:
            figures = figures | {PUBLISHED_ACCURACY: figures["contextualized_accuracy"]}
        return {name: 100 * value if name in _SHARES else value for name, value in figures.items()}

    def _check(self, step: int, row: Sequence[float]) -> None:
        wrong = [f"{name} is {value}" for name, value in zip(FIGURES, row) if not math.isfinite(value)]
        if not wrong:
            return
        raise CheckFailed(
            f"the loss is not finite in epoch {self.epoch + 1}, step {step + 1}",
            why=f"{', '.join(wrong)}\nthe batch: {shortened(self._images(step), 3)}",
            todo="lower the learning rate (--lr) or use --precision fp32; the last checkpoint is older and intact",
        )
