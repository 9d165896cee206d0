"""Run the forward part of a training step in a run's arithmetic; in bf16 all backbone weights are converted at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from svipctl.device import autocast
from svipctl.model.losses import TrainingOutput
from svipctl.model.svip import SVIP

_PLACES: WeakKeyDictionary[SVIP, list[tuple[str, nn.Module, str]]] = WeakKeyDictionary()


def training_pass(
    network: SVIP,
    images: Tensor,
    dtype: torch.dtype,
    *,
    frozen_backbone: bool = False,
    coverage: Tensor | None = None,
) -> TrainingOutput:
    """Run `SVIP.training_pass` in float32, or under autocast in bfloat16.

    Autocast would convert each weight, and its gradient, in a launch of its own. Compiled blocks do that themselves.
    """
    options = {"frozen_backbone": frozen_backbone, "coverage": coverage}
    with autocast(dtype, images.device):
        if dtype == torch.float32 or network.is_compiled:
            return network.training_pass(images, frozen_backbone=frozen_backbone, coverage=coverage)
        weights = _converted_weights(network)
        output: TrainingOutput = functional_call(_Pass(network), weights, (images,), options, tie_weights=False)
        return output


class _Pass(nn.Module):
    def __init__(self, network: SVIP) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, **options: Any) -> TrainingOutput:
        return self.network.training_pass(images, **options)


def _converted_weights(network: SVIP) -> dict[str, Tensor]:
    """Return the weights and biases of the backbone that autocast converts, converted, by their names in `_Pass`."""
    if network not in _PLACES:  # finding them takes milliseconds
        _PLACES[network] = [
            (f"network.backbone.{prefix}.{name}", module, name)
            for prefix, module in network.backbone.named_modules()
            if type(module) in (nn.Linear, nn.Conv2d)
            for name, _ in module.named_parameters(recurse=False)
        ]
    places = _PLACES[network]
    converted = _Converted.apply(*(getattr(module, name) for _, module, name in places))
    return dict(zip((place for place, _, _ in places), converted))


class _Converted(torch.autograd.Function):
    """Convert float32 tensors to bfloat16, and their gradients back."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(_copies(tensors, torch.bfloat16))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        converted = iter(_copies([value for value in gradients if value is not None], torch.float32))
        return tuple(None if value is None else next(converted) for value in gradients)


def _copies(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return copies
