"""Linear layers in bf16 on a CPU: the same values, by fewer trips through memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers import Mlp
from torch import Tensor, nn

from svipctl.device import cpu_has_bf16
from svipctl.model import backbone, fused_linear
from svipctl.model.backbone import run_block
from svipctl.model.fused_linear import KeptWeights, linear, mlp
from tests.model.operators import CONVERTED, FUSED, Operators
from tests.model.tiny import vit

BF16 = torch.autocast("cpu", dtype=torch.bfloat16)
needs_operator = pytest.mark.skipif(not cpu_has_bf16(), reason="no bf16 products on this processor")


@pytest.fixture
def as_if_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards must hold by themselves, on a processor without bf16 units too."""
    monkeypatch.setattr(fused_linear, "cpu_has_bf16", lambda: True)


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
    assert ran.names.count(FUSED) == 2
    assert found.dtype == plain.dtype
    assert found.shape == plain.shape
    assert furthest(found, exact) <= 1.25 * furthest(plain, exact)


@needs_operator
@torch.no_grad()
def test_a_layer_without_bias_is_one_too() -> None:
    layer = nn.Linear(48, 5, bias=False)
    with BF16:
        torch.testing.assert_close(linear(layer, tokens()), layer(tokens()))


@needs_operator
@torch.no_grad()
def test_a_block_computes_its_four_products_so_and_attention_as_two_more() -> None:
    block, values = vit().blocks[0], tokens(16)
    with BF16, Operators() as ran:
        found, _ = run_block(block, values)
    with BF16:
        plain = block(values)
    exact = block.double()(values.double())
    assert ran.names.count(FUSED) == 4
    assert not [name for name in ran.names if "attention" in name]
    assert furthest(found, exact) <= 1.25 * furthest(plain, exact)


@torch.no_grad()
def test_without_bf16_units_a_block_runs_its_layers_and_the_fused_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backbone, fused_linear):
        monkeypatch.setattr(module, "cpu_has_bf16", lambda: False)
    block, values = vit().blocks[0], tokens(16)
    with BF16, Operators() as ran:
        found, _ = run_block(block, values)
    assert FUSED not in ran.names
    assert [name for name in ran.names if "attention" in name]
    with BF16:
        assert torch.equal(found, block(values))


@torch.no_grad()
def test_a_compiled_block_leaves_it_to_the_compiler(as_if_bf16: None) -> None:
    block, values = vit().blocks[0], tokens(16)
    graphs: list[str] = []

    def keep(graph: Any, _: Any) -> Any:
        graphs.append(graph.code)
        return graph

    with BF16:
        torch.compile(run_block, backend=keep)(block, values)
    assert graphs
    assert "_linear_pointwise" not in "".join(graphs)


@pytest.mark.parametrize("module", [nn.Linear(48, 5), layers()])
def test_gradients_in_bf16_are_those_of_the_layers(module: nn.Module, as_if_bf16: None) -> None:
    way: Any = linear if isinstance(module, nn.Linear) else mlp
    gradients = []
    for run in (lambda values: way(module, values), module):
        values = tokens().requires_grad_()
        with BF16:
            run(values).float().square().sum().backward()
        gradients.append(values.grad)
    assert torch.equal(*gradients)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_other_arithmetic_the_layers_themselves_run(dtype: torch.dtype, as_if_bf16: None) -> None:
    for way, module in ((linear, nn.Linear(48, 5)), (mlp, layers())):
        values, half = tokens().to(dtype), dtype == torch.float64  # which autocast leaves alone
        with torch.autocast("cpu", torch.bfloat16, enabled=half), Operators() as ran:
            assert torch.equal(way(module.to(dtype), values), module(values))
        assert FUSED not in ran.names


@torch.no_grad()
@pytest.mark.parametrize("hooked", ["", "fc1", "act"])
def test_hooks_are_called(hooked: str, as_if_bf16: None) -> None:
    module, seen = layers(), []
    part = module.get_submodule(hooked)
    part.register_forward_hook(lambda *_: seen.append("after"))
    part.register_forward_pre_hook(lambda *_: seen.append("before"))
    with BF16:
        assert torch.equal(mlp(module, tokens()), module(tokens()))
    assert seen == ["before", "after"] * 2


@torch.no_grad()
def test_another_activation_is_respected(as_if_bf16: None) -> None:
    module = layers(nn.ReLU)
    with BF16:
        assert torch.equal(mlp(module, tokens()), module(tokens()))


@needs_operator
@torch.no_grad()
def test_dropout_falls_where_it_would() -> None:
    module = layers().train()
    module.drop1.p = module.drop2.p = 0.5
    with BF16:
        torch.manual_seed(0)
        found = mlp(module, tokens())
        torch.manual_seed(0)
        plain = module(tokens())
    assert 0 < (plain == 0).sum() < plain.numel()
    assert torch.equal(found == 0, plain == 0)


@needs_operator
@torch.no_grad()
def test_empty_batches_and_views_are_taken() -> None:
    layer, values = nn.Linear(48, 5), tokens()
    with BF16:
        assert linear(layer, values[:0]).shape == (0, 7, 5)
        torch.testing.assert_close(linear(layer, values.transpose(0, 1)), layer(values.transpose(0, 1)))


@needs_operator
@torch.no_grad()
def test_kept_weights_are_made_once_and_give_the_same_values_for_any_batch() -> None:
    module, weights = layers(), KeptWeights()
    batches = [tokens(), tokens()[:1], tokens().repeat(9, 5, 1)]
    with BF16:
        plain = [mlp(module, batch) for batch in batches]
        with Operators() as ran:
            for batch, expected in zip(batches, plain):
                with weights.in_use():
                    torch.testing.assert_close(mlp(module, batch), expected)
    assert ran.names.count(CONVERTED) == 2
    assert ran.names.count(FUSED) == 2 * len(batches)


@needs_operator
@torch.no_grad()
def test_outside_nothing_is_kept_also_after_an_error() -> None:
    layer = nn.Linear(48, 5)
    with BF16:
        with pytest.raises(RuntimeError), KeptWeights().in_use():
            linear(layer, tokens(47))
        before = linear(layer, tokens())
        layer.weight.zero_()
        layer.bias.zero_()
        assert before.any()
        assert not linear(layer, tokens()).any()


@needs_operator
@torch.no_grad()
def test_two_holders_do_not_share_weights() -> None:
    layer = nn.Linear(48, 5)
    with BF16, KeptWeights().in_use():
        before = linear(layer, tokens())
        layer.weight.mul_(2)
        layer.bias.mul_(2)
        with KeptWeights().in_use():
            torch.testing.assert_close(linear(layer, tokens()), 2 * before)
        assert torch.equal(linear(layer, tokens()), before)
