"""Linear layers in bf16 on a CPU: the same values, by fewer trips through memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from svipctl.model import fused_linear
from svipctl.model.fused_linear import linear, mlp

BF16 = torch.autocast("cpu", dtype=torch.bfloat16)
needs_operator = pytest.mark.skipif(not fused_linear._has_operator(), reason="no bf16 products on this processor")


class Operators(TorchDispatchMode):
    """The names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def tokens(width: int = 48) -> Tensor:
    return torch.randn(3, 7, width, generator=torch.Generator().manual_seed(1))


def layers(activation: Any = nn.GELU) -> Mlp:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return Mlp(48, 96, act_layer=activation).eval()


def furthest(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).abs().max())


@needs_operator
@torch.no_grad()
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_the_products_are_no_further_from_float64_than_the_layers_are(approximate: str) -> None:
    module = layers(lambda: nn.GELU(approximate=approximate))
    with BF16, Operators() as ran:
        found = mlp(module, tokens())
    with BF16:
        plain = module(tokens())
    exact = module.double()(tokens().double())
    assert ran.names.count("mkldnn._linear_pointwise.default") == 2
    assert found.dtype == plain.dtype
    assert found.shape == plain.shape
    assert furthest(found, exact) <= 1.25 * furthest(plain, exact)


@needs_operator
@torch.no_grad()
def test_a_layer_without_bias_is_one_too() -> None:
    layer = nn.Linear(48, 5, bias=False)
    with BF16:
        torch.testing.assert_close(linear(layer, tokens()), layer(tokens()))


@pytest.mark.parametrize("module", [nn.Linear(48, 5), layers()])
def test_gradients_in_bf16_are_those_of_the_layers(module: nn.Module) -> None:
    way: Any = linear if isinstance(module, nn.Linear) else mlp
    gradients = []
    for run in (lambda values: way(module, values), module):
        values = tokens().requires_grad_()
        with BF16:
            run(values).float().square().sum().backward()
        gradients.append(values.grad)
    assert torch.equal(*gradients)


@torch.no_grad()
def test_in_float32_the_layers_themselves_run() -> None:
    for way, module in ((linear, nn.Linear(48, 5)), (mlp, layers())):
        assert torch.equal(way(module, tokens()), module(tokens()))


@torch.no_grad()
def test_hooks_of_a_layer_run_and_another_activation_is_respected() -> None:
    module, seen = layers(nn.ReLU), []
    module.fc1.register_forward_hook(lambda *_: seen.append("hook"))
    with BF16:
        assert torch.equal(mlp(module, tokens()), module(tokens()))
        linear(module.fc1, tokens())
    assert len(seen) == 3
