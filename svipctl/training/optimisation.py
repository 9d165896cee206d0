"""Create the optimizer, compute the learning rate, and update the parameters of one step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from svipctl.model.backbone import stem_of
from svipctl.model.svip import SVIP
from svipctl.settings.schema import OptimSettings


class Optimisation:
    """Optimizer, schedule and warm-up of a run.

    Attributes:
        optimizer: The current torch optimizer; warm-up has its own over the heads only.
        parameters: All parameters of the network, listed once because listing takes a third of a millisecond.
        untrained: Parameters that the optimizer does not train.

    """

    def __init__(self, model: SVIP, settings: OptimSettings, *, epochs: int, steps_per_epoch: int) -> None:
        self.model = model
        self.settings = settings
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.parameters = list(model.parameters())
        self.renew(0)

    def warming_up(self, epoch: int) -> bool:
        """Return True if only the heads are trained in this epoch (counted from 0)."""
        return epoch < self.settings.warmup_epochs

    def backbone_is_frozen(self, epoch: int) -> bool:
        """Return True if the backbone runs without gradient in this epoch."""
        return self.warming_up(epoch) and self.settings.warmup_backbone == "frozen"

    def start_epoch(self, epoch: int) -> None:
        """Create a new optimizer when warm-up ends, or at each epoch if the recipe resets it."""
        after_warmup = epoch == self.settings.warmup_epochs
        renewed = self.settings.renew_each_epoch and not self.warming_up(epoch)
        if epoch and (after_warmup or renewed):
            self.renew(epoch)

    def learning_rate(self, epoch: int, step: int) -> float:
        """Return the learning rate at a step of an epoch, both counted from 0."""
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
        """Reset the gradients before a step; those of parameters outside the current optimizer accumulate."""
        self.optimizer.zero_grad(set_to_none=True)

    def apply(self, epoch: int, step: int) -> Tensor:
        """Clip the gradients and update the parameters; return their norm before clipping, a scalar."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        for group, share in zip(self.optimizer.param_groups, self._lr_shares, strict=True):
            group["lr"] = share * self.learning_rate(epoch, step)
        self.optimizer.step()
        return norm

    def renew(self, epoch: int) -> None:
        """Reset all moments: create a new optimizer over the parameters that this epoch trains."""
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
        self.optimizer: torch.optim.Optimizer = kind(
            groups,
            lr=self.learning_rate(epoch, 0),
            betas=self.settings.betas,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )
