"""Linear layers in bf16 on a CPU, with bias and activation inside the matrix product.

torch's own `F.linear` first copies the bias to every row of the output and then reads it again, and GELU is one more
trip through memory. oneDNN does both while it writes the product; torch reaches that through the operator its compiler
uses, without gradient. What it gains is in benchmarks/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast

import torch
from timm.layers import Mlp
from torch import Tensor, nn

from svipctl.device import cpu_has_bf16

Weights = tuple[Tensor, Tensor | None]
"""Weight and bias of a layer in bf16."""
_KEPT: ContextVar[dict[nn.Linear, Weights] | None] = ContextVar("_KEPT", default=None)


class KeptWeights:
    """Weights in bf16 and in oneDNN's order, made for the first batch and kept for those that follow.

    Whoever holds this promises that the network's weights do not change meanwhile: changes are not seen.
    """

    def __init__(self) -> None:
        self._of: dict[nn.Linear, Weights] = {}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the layers take them."""
        before = _KEPT.set(self._of)
        try:
            yield
        finally:
            _KEPT.reset(before)


def linear(layer: nn.Module, tokens: Tensor) -> Tensor:
    """`layer(tokens)`, (..., in) -> (..., out); the fast way where there is one."""
    if not _can_fuse(layer, tokens):
        return cast(Tensor, layer(tokens))
    return _product(cast(nn.Linear, layer), tokens)


def mlp(module: nn.Module, tokens: Tensor) -> Tensor:
    """`module(tokens)` of a block's MLP, (B, N, D) -> (B, N, D); the fast way where there is one."""
    if (
        type(module) is not Mlp
        or type(module.act) is not nn.GELU
        or _has_hooks(module)
        or _has_hooks(module.act)
        or not _can_fuse(module.fc1, tokens)
    ):
        return cast(Tensor, module(tokens))
    hidden = _product(cast(nn.Linear, module.fc1), tokens, gelu=module.act.approximate)
    return cast(Tensor, module.drop2(linear(module.fc2, module.norm(module.drop1(hidden)))))


def _can_fuse(layer: nn.Module, tokens: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()  # the compiler sees to it by itself
        and not torch.is_grad_enabled()
        and tokens.device.type == "cpu"
        and tokens.dtype != torch.float64  # autocast leaves it alone
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and type(layer) is nn.Linear
        and not _has_hooks(layer)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and cpu_has_bf16()
    )


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _product(layer: nn.Linear, tokens: Tensor, *, gelu: str | None = None) -> Tensor:
    """Args: `gelu` is the approximation of the activation (`none`, `tanh`), or None for no activation."""
    weight, bias = _weights(layer, tokens)
    activation, algorithm = ("none", "") if gelu is None else ("gelu", gelu)
    product = torch.ops.mkldnn._linear_pointwise(tokens.bfloat16(), weight, bias, activation, [], algorithm)
    return cast(Tensor, product)


def _weights(layer: nn.Linear, tokens: Tensor) -> Weights:
    kept = _KEPT.get()
    if kept is not None and layer in kept:
        return kept[layer]
    weight, bias = layer.weight.bfloat16(), None if layer.bias is None else layer.bias.bfloat16()
    if kept is not None:
        weight = torch.ops.mkldnn._reorder_linear_weight(weight, tokens.shape[:-1].numel())
        kept[layer] = weight, bias
    return weight, bias
