"""Test that converting all weights at once gives exactly what autocast gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from svipctl.device import autocast
from svipctl.model.losses import TrainingOutput, group_columns, training_loss
from svipctl.model.svip import SVIP
from svipctl.model.training_pass import training_pass
from tests.model.tiny import ATTRIBUTES, images, svip

CPU = torch.device("cpu")


def gradients(model: SVIP, output: TrainingOutput) -> dict[str, Tensor | None]:
    groups = group_columns([(0, 1)])
    training_loss(output, torch.tensor([0, 1, 2]), torch.eye(ATTRIBUTES), groups, model.recipe).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("checkpointing", ["none", "mlp", "blocks"])
def test_gradients_equal_those_of_autocast(checkpointing: Any, frozen: bool) -> None:
    found = []
    for at_once in (True, False):
        model = svip().train()
        model.run_blocks(checkpointing=checkpointing)
        if at_once:
            output = training_pass(model, images(), torch.bfloat16, frozen_backbone=frozen)
        else:
            with autocast(torch.bfloat16, CPU):
                output = model.training_pass(images(), frozen_backbone=frozen)
        found.append(gradients(model, output))
    ours, theirs = found
    assert [name for name, value in ours.items() if value is None] == [
        name for name, value in theirs.items() if value is None
    ]
    assert all(value is None or torch.equal(value, theirs[name]) for name, value in ours.items())
