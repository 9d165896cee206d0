"""Optimizer, learning-rate schedule, warm-up, and the update of one step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from svipctl.model.backbone import stem_of
from svipctl.model.svip import SVIP
from svipctl.settings.schema import OptimSettings


class Optimisation:
    """What changes parameters: which ones, by how much, and when the optimizer starts afresh.

    Attributes:
        optimizer: The current torch optimizer; warm-up has its own over the heads only.
        parameters: All of the network's; walking through its modules in each step would take a third of a millisecond.
        untrained: Those that are not the optimizer's.

    """

    def __init__(self, model: SVIP, settings: OptimSettings, *, epochs: int, steps_per_epoch: int) -> None:
        self.model = model
        self.settings = settings
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.parameters = list(model.parameters())
        self.optimizer = self._create(0)

    def warming_up(self, epoch: int) -> bool:
        """Return whether only the heads are trained in this epoch (counted from 0)."""
        return epoch < self.settings.warmup_epochs

    def backbone_is_frozen(self, epoch: int) -> bool:
        """Return whether the backbone runs without gradient in this epoch."""
        return self.warming_up(epoch) and self.settings.warmup_backbone == "frozen"

    def start_epoch(self, epoch: int) -> None:
        """Make a new optimizer where warm-up ends, or at each epoch when the recipe renews it."""
        after_warmup = epoch == self.settings.warmup_epochs
        renewed = self.settings.renew_each_epoch and not self.warming_up(epoch)
        if epoch and (after_warmup or renewed):
            self.renew(epoch)

    def renew(self, epoch: int) -> None:
        """Forget all moments: a new optimizer over what this epoch trains."""
        self.optimizer = self._create(epoch)

    def learning_rate(self, epoch: int, step: int) -> float:
        """The rate at a step of an epoch, both counted from 0."""
        settings = self.settings
        if self.warming_up(epoch):
            return settings.warmup_lr
        if settings.schedule == "step":
            return settings.lr * settings.step_factor ** (epoch // settings.step_epochs)
        done = (epoch - settings.warmup_epochs) * self.steps_per_epoch + step
        total = (self.epochs - settings.warmup_epochs) * self.steps_per_epoch
        ramp = settings.ramp_epochs * self.steps_per_epoch
        if done < ramp:
            return settings.lr * (done + 1) / (ramp + 1)
        if settings.schedule == "constant":
            return settings.lr
        return settings.lr * (1 + math.cos(math.pi * (done - ramp) / max(total - ramp, 1))) / 2

    def forget_gradients(self) -> None:
        """Before a step. Gradients of parameters outside the current optimizer are left to accumulate."""
        self.optimizer.zero_grad(set_to_none=True)

    def apply(self, epoch: int, step: int) -> Tensor:
        """Clip the gradients and step; returns their norm before the clip, a scalar."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        for group, share in zip(self.optimizer.param_groups, self._lr_shares, strict=True):
            group["lr"] = share * self.learning_rate(epoch, step)
        self.optimizer.step()
        return norm

    def _create(self, epoch: int) -> torch.optim.Optimizer:
        warming_up = self.warming_up(epoch)
        every = self.model.head_parameters() if warming_up else self.parameters
        stem = stem_of(self.model.backbone)
        of_stem = set(stem.parameters()) if stem is not None else set()
        parameters = [value for value in every if value.requires_grad and value not in of_stem]
        groups = [{"params": parameters}]
        self._lr_shares = [1.0]
        trained_stem = [value for value in every if value.requires_grad and value in of_stem]
        if trained_stem:
            groups.append({"params": trained_stem})
            self._lr_shares.append(self.settings.stem_lr_share)
        trained = {*parameters, *trained_stem}
        self.untrained = [value for value in self.parameters if value not in trained]
        kind = torch.optim.Adam if self.settings.optimizer == "adam" else torch.optim.AdamW
        return kind(
            groups,
            lr=self.learning_rate(epoch, 0),
            betas=self.settings.betas,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )
