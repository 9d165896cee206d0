"""Run one training step: forward and backward over the parts of a batch, clip, update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from svipctl.device import explained_compiler_failure
from svipctl.distributed.ranks import ALONE, Ranks
from svipctl.errors import ResourceError, is_out_of_memory
from svipctl.model.losses import Terms
from svipctl.training.optimisation import Optimisation

FIGURES = (*(field.name for field in fields(Terms)), "gradient_norm")
"""Names of a step's results, in their order."""

LossOf = Callable[[Tensor, Tensor, int, Tensor | None], Terms]
"""Function from images (B, 3, H, W), labels (B,), the epoch and, for the control that needs it, the location of the
object (B, windows) to the loss and its terms.
"""


class Stepper:
    """Training steps of a run.

    A batch may be computed in parts, one after the other, whose gradients add up to the batch's: every term of the
    loss is a mean over images, so each part counts by its share of them. The results differ only by rounding. The same
    applies to the parts that several processes compute at the same time.

    Attributes:
        parts: Number of parts of a batch.

    """

    def __init__(
        self, loss_of: LossOf, optimisation: Optimisation, *, parts: int = 1, adapt: bool = False, ranks: Ranks = ALONE
    ) -> None:
        """Create the steps; `adapt` adds parts when memory is not enough, `ranks` are the processes that share the
        batch.
        """
        self.loss_of = loss_of
        self.optimisation = optimisation
        self.parts = parts
        self.adapt = adapt
        self.ranks = ranks

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        epoch: int,
        step: int,
        coverage: Tensor | None = None,
        *,
        weight: float = 1.0,
    ) -> Tensor:
        """Update the parameters once.

        Args:
            images: (B, 3, H, W).
            labels: (B,) rows of the seen classes.
            epoch: Counted from 0.
            step: Step of the epoch, counted from 0.
            coverage: (B, windows) share of each window that shows the object, or None.
            weight: Share of these images in the batch of all processes.

        Returns:
            `FIGURES` as one vector on the device, for the batch when summed over the processes, without synchronizing.

        Raises:
            ResourceError: The batch does not fit in memory; names the number of parts with which it fits.
            ConfigError: Compiling the network fails.

        """
        waiting = any(value.grad is not None for value in self.optimisation.untrained)  # of earlier steps
        asked, first = self.parts, None
        while True:
            self.optimisation.forget_gradients()
            try:
                with explained_compiler_failure("train.compile"):
                    terms = self._gradients(images, labels, epoch, coverage, weight)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                first = first or error.with_traceback(None)  # its frames keep the tensors that did not fit
            self._divide(images, first, waiting=waiting)
        if first is not None and not self.adapt:
            self._refuse(images, asked, first)
        self.ranks.average([value.grad for value in self.optimisation.parameters if value.grad is not None])
        norm = self.optimisation.apply(epoch, step).detach().float().view(1)
        return torch.cat([terms, norm / self.ranks.world])

    def _gradients(self, images: Tensor, labels: Tensor, epoch: int, coverage: Tensor | None, weight: float) -> Tensor:
        """Run forward and backward over all parts, and return the terms as shares of the batch's.

        The gradients are scaled to be averaged over the processes; accumulated ones, equal in all processes, stay
        unchanged.
        """
        total = torch.zeros(len(FIGURES) - 1, device=images.device)
        parts = min(self.parts, len(images))
        covered = [None] * parts if coverage is None else coverage.tensor_split(parts)
        for some, theirs, objects in zip(images.tensor_split(parts), labels.tensor_split(parts), covered):
            terms = self.loss_of(some, theirs, epoch, objects)
            share = weight * len(some) / len(images)
            (terms.loss * (share * self.ranks.world)).backward()  # type: ignore[no-untyped-call]
            total += terms.stacked() * share
        return total

    def _divide(self, images: Tensor, cause: Exception, *, waiting: bool) -> None:
        """Double the number of parts; raise ResourceError if the batch cannot be divided further."""
        if waiting:  # accumulated gradients are mixed with those of this step, so it cannot be repeated
            what = f"a batch of {len(images)} does not fit in the memory of {images.device}"
            raise ResourceError(what, todo="resume with --set train.accumulate=2 or more") from cause
        if self.parts >= len(images):
            raise ResourceError(
                f"not even one image at a time fits in the memory of {images.device}",
                todo="use --set train.checkpointing=blocks, or a smaller --backbone",
            ) from cause
        self._forget_all()
        self.parts = min(2 * self.parts, len(images))

    def _refuse(self, images: Tensor, asked: int, cause: Exception) -> None:
        """Raise ResourceError with the number of parts that fit, and restore the requested number."""
        parts, self.parts = self.parts, asked
        self._forget_all()
        raise ResourceError(
            f"a batch of {len(images)} does not fit in the memory of {images.device}",
            why=f"it fits as {parts} micro-batches of {-(-len(images) // parts)} images, with the same result",
            todo=f"use --batch-size auto, or --set train.accumulate={parts}, or a smaller --batch-size",
        ) from cause

    def _forget_all(self) -> None:
        """Remove all gradients and free the memory kept for reuse."""
        self.optimisation.model.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
