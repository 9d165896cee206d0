"""Test learning rates by hand, the phases of warm-up, and when the optimizer is created again."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from svipctl.model.backbone import create_backbone
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from svipctl.settings.schema import OptimSettings
from svipctl.training.optimisation import Optimisation

NETWORK = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}


def optimisation(epochs: int = 10, steps: int = 4, **settings: Any) -> Optimisation:
    torch.manual_seed(0)
    model = SVIP(create_backbone("vit_tiny", NETWORK), 3, Recipe(context="free"), window=2, hidden=8)
    return Optimisation(model, OptimSettings(**settings), epochs=epochs, steps_per_epoch=steps)


def test_cosine_falls_from_lr_by_steps() -> None:
    rates = optimisation(lr=1.0, schedule="cosine")
    assert rates.learning_rate(0, 0) == 1.0
    assert rates.learning_rate(5, 0) == pytest.approx(0.5)
    assert rates.learning_rate(2, 2) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert rates.learning_rate(9, 3) == pytest.approx((1 + math.cos(math.pi * 39 / 40)) / 2)


def test_step_counts_epochs_from_the_start_of_training() -> None:
    rates = optimisation(lr=1.0, schedule="step", step_epochs=2, step_factor=0.5, warmup_epochs=3, warmup_lr=0.25)
    found = [rates.learning_rate(epoch, 1) for epoch in range(7)]
    assert found == [0.25, 0.25, 0.25, 0.5, 0.25, 0.25, 0.125]


def test_constant_after_a_linear_ramp() -> None:
    rates = optimisation(lr=1.0, schedule="constant", ramp_epochs=0.75)
    assert [rates.learning_rate(0, step) for step in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates.learning_rate(9, 3) == 1.0


def test_cosine_and_ramp_start_after_warmup() -> None:
    rates = optimisation(epochs=6, lr=1.0, schedule="cosine", warmup_epochs=2, warmup_lr=0.125, ramp_epochs=1)
    assert [rates.learning_rate(1, step) for step in range(4)] == [0.125] * 4
    assert [rates.learning_rate(2, step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates.learning_rate(3, 0) == pytest.approx(1.0)
    assert rates.learning_rate(4, 2) == pytest.approx(0.5)


def moved(one: Optimisation, epoch: int) -> set[str]:
    """Return the names of parameters that a step of that epoch changes."""
    before = {name: value.detach().clone() for name, value in one.model.named_parameters()}
    output = one.model.training_pass(torch.randn(2, 3, 32, 32), frozen_backbone=one.backbone_is_frozen(epoch))
    one.forget_gradients()
    (output.source_attributes.square().sum() + output.contextualized_attributes.sum()).backward()
    one.apply(epoch, 0)
    return {name for name, value in one.model.named_parameters() if not torch.equal(before[name], value)}


@pytest.mark.parametrize("kind", ["frozen", "accumulate"])
def test_only_the_heads_are_updated_in_warmup_and_everything_afterwards(kind: str) -> None:
    one = optimisation(lr=0.1, warmup_lr=0.1, warmup_epochs=1, warmup_backbone=kind)
    assert one.backbone_is_frozen(0) == (kind == "frozen")
    one.start_epoch(0)
    warm = moved(one, 0)
    assert warm
    assert not {name for name in warm if name.startswith("backbone.")}
    has_gradient = [p.grad is not None for n, p in one.model.named_parameters() if n.startswith("backbone.blocks")]
    assert any(has_gradient) == (kind == "accumulate")
    one.start_epoch(1)
    assert not one.backbone_is_frozen(1)
    assert {name for name in moved(one, 1) if name.startswith("backbone.blocks")}


@pytest.mark.parametrize(
    ("renew", "afresh"), [(False, [False, False, True, False, False]), (True, [False, False, True, True, True])]
)
def test_the_optimizer_is_new_after_warmup_and_each_epoch_if_renewed(renew: bool, afresh: list[bool]) -> None:
    one = optimisation(epochs=5, warmup_epochs=2, renew_each_epoch=renew)
    found = []
    for epoch in range(5):
        before = one.optimizer
        one.start_epoch(epoch)
        found.append(one.optimizer is not before)
    assert found == afresh


def test_the_settings_reach_the_optimizer() -> None:
    one = optimisation(optimizer="adam", betas=(0.5, 0.9), weight_decay=0.25)
    assert type(one.optimizer) is torch.optim.Adam
    (group,) = one.optimizer.param_groups
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.9), 0.25)
    assert type(optimisation().optimizer) is torch.optim.AdamW


def test_gradients_are_clipped_to_the_norm() -> None:
    one = optimisation(clip_norm=0.5)
    loss = sum(((100 * parameter).square().sum() for parameter in one.model.parameters()), torch.zeros(()))
    loss.backward()
    before = one.apply(0, 0)
    assert before > 0.5
    norms = [parameter.grad.norm() for parameter in one.model.parameters() if parameter.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(("epoch", "trained"), [(0, "heads"), (1, "all")])
def test_only_the_backbone_in_warmup_is_excluded_from_the_optimizer(epoch: int, trained: str) -> None:
    one = optimisation(warmup_epochs=1)
    one.start_epoch(epoch)
    untrained = {id(value) for value in one.untrained}
    backbone = {id(value) for value in one.model.backbone.parameters()}
    assert untrained == (backbone if trained == "heads" else set())
