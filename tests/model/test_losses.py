"""Compare each loss term with torch's own losses or arithmetic by hand, in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from svipctl.model.losses import Terms, TrainingOutput, consistency_term, group_columns, group_norm, training_loss
from svipctl.model.recipe import Recipe

LABELS = torch.tensor([0, 2, 1, 2])
GROUPS = group_columns([(0, 1), (2, 3, 4), (5,)])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def output() -> TrainingOutput:
    targets = (draw(4, 9, seed=4) > 0).double()
    return TrainingOutput(draw(4, 6, seed=1), draw(4, 6, seed=2), draw(4, 9, seed=3), targets)


@pytest.fixture
def table() -> Tensor:
    return F.normalize(draw(3, 6, seed=5).abs(), dim=-1)


def loss(output: TrainingOutput, table: Tensor, **switches: Any) -> Terms:
    return training_loss(output, LABELS, table, GROUPS, Recipe(**switches))


@pytest.mark.parametrize("temperature", [1.0, 20.0])
@pytest.mark.parametrize(("mean", "share"), [("batch", 1 / 4), ("batch-and-classes", 1 / 28)])
def test_kl_equals_torchs_kl_div(temperature: float, mean: str, share: float) -> None:
    source, contextualized = draw(4, 7, seed=1), draw(4, 7, seed=2)
    recipe = Recipe(consistency="kl", consistency_temperature=temperature, consistency_mean=mean)
    target = F.softmax(contextualized / temperature, dim=-1)
    expected = F.kl_div(F.log_softmax(source / temperature, dim=-1), target, reduction="sum") * share * temperature**2
    torch.testing.assert_close(consistency_term(source, contextualized, recipe), expected)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("mean", "share"), [("batch", 1 / 4), ("batch-and-classes", 1 / 28)])
def test_jensen_shannon_equals_two_kl_div_to_the_mixture(temperature: float, mean: str, share: float) -> None:
    first, second = draw(4, 7, seed=1), draw(4, 7, seed=2)
    p, q = F.softmax(first / temperature, dim=-1), F.softmax(second / temperature, dim=-1)
    middle = ((p + q) / 2).log()
    expected = (F.kl_div(middle, p, reduction="sum") + F.kl_div(middle, q, reduction="sum")) / 2 * share
    recipe = Recipe(consistency_temperature=temperature, consistency_mean=mean)
    torch.testing.assert_close(consistency_term(first, second, recipe), expected * temperature**2)


scores = st.lists(st.floats(-50, 50), min_size=4, max_size=4)


@settings(max_examples=60)
@given(first=scores, second=scores)
def test_jensen_shannon_is_symmetric_and_between_zero_and_log_two(first: list[float], second: list[float]) -> None:
    a, b = torch.tensor([first], dtype=torch.float64), torch.tensor([second], dtype=torch.float64)
    value = consistency_term(a, b, Recipe()).item()
    assert value == pytest.approx(consistency_term(b, a, Recipe()).item(), abs=1e-12)
    assert -1e-12 <= value <= math.log(2) + 1e-12


@pytest.mark.parametrize("kind", ["jensen-shannon", "kl"])
def test_consistency_is_zero_for_equal_passes_and_positive_otherwise(kind: str) -> None:
    first, second = draw(4, 7, seed=1), draw(4, 7, seed=2)
    recipe = Recipe(consistency=kind)
    assert consistency_term(first, first, recipe).item() == pytest.approx(0, abs=1e-12)
    assert consistency_term(first, first + 3, recipe).item() == pytest.approx(0, abs=1e-12)  # softmax ignores a shift
    assert consistency_term(first, second, recipe).item() > 0.01


def test_kl_is_directed_from_the_contextualized_to_the_source_pass() -> None:
    first, second = draw(4, 7, seed=1), draw(4, 7, seed=2)
    recipe = Recipe(consistency="kl")
    assert abs(consistency_term(first, second, recipe) - consistency_term(second, first, recipe)) > 1e-3


def test_consistency_none_is_zero() -> None:
    assert consistency_term(draw(2, 3), draw(2, 3, seed=1), Recipe(consistency="none")).item() == 0


def test_group_norm_by_hand() -> None:
    attributes = torch.tensor([[3.0, 4.0, 2.0], [0.0, 1.0, -6.0]], dtype=torch.float64)
    assert group_norm(attributes, group_columns([(0, 1), (2,)])).item() == pytest.approx(
        ((5 + 1) / 2 + (2 + 6) / 2) / 2
    )
    assert group_norm(attributes, group_columns([(0, 2), (1,)])).item() == pytest.approx(((13**0.5 + 6) / 2 + 2.5) / 2)
    assert group_norm(attributes, group_columns([])).item() == 0


def test_the_accuracies_of_the_two_passes_are_counted_separately(output: TrainingOutput) -> None:
    """Use a batch of four: the source pass classifies one image correctly, the contextualized pass three."""
    table, labels = torch.eye(4, dtype=torch.float64), torch.arange(4)
    named = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 0]])
    source, contextualized = table[named[0]], table[named[1]]
    passes = replace(
        output,
        source_attributes=source,
        contextualized_attributes=contextualized,
        patch_logits=output.patch_logits[:1].expand(4, -1),
        patch_targets=output.patch_targets[:1].expand(4, -1),
    )
    terms = training_loss(passes, labels, table, [], Recipe())
    assert (terms.source_accuracy.item(), terms.contextualized_accuracy.item()) == (0.25, 0.75)


def test_total_is_the_weighted_sum_of_its_terms(output: TrainingOutput, table: Tensor) -> None:
    terms = loss(output, table, patch_weight=3, consistency_weight=0.7, decorrelation_weight=0.3, class_score="dot")
    source, contextualized = output.source_attributes @ table.T, output.contextualized_attributes @ table.T
    entropy = F.cross_entropy(5 * source, LABELS) + F.cross_entropy(5 * contextualized, LABELS)
    patch = F.binary_cross_entropy(output.patch_logits.sigmoid(), output.patch_targets)
    norm = 0.3 * group_norm(output.contextualized_attributes, GROUPS)
    torch.testing.assert_close(terms.cross_entropy, entropy)
    torch.testing.assert_close(terms.patch, patch)
    torch.testing.assert_close(terms.decorrelation, norm)
    torch.testing.assert_close(terms.loss, entropy + 3 * patch + 0.7 * terms.consistency + norm)
    assert terms.source_accuracy.item() == (source.argmax(dim=1) == LABELS).double().mean().item()
    called = output.patch_logits > 0
    assert terms.patch_accuracy.item() == (called == output.patch_targets.bool()).double().mean().item()


def test_squared_decorrelation_applies_the_weight_twice(output: TrainingOutput, table: Tensor) -> None:
    switches = {"decorrelation_weight": 0.3}
    once, twice = loss(output, table, **switches), loss(output, table, **switches, decorrelation_squared=True)
    assert twice.decorrelation == once.decorrelation
    assert (once.loss - twice.loss).item() == pytest.approx((1 - 0.3) * once.decorrelation.item())


def test_half_precision_passes_give_a_full_precision_loss(output: TrainingOutput, table: Tensor) -> None:
    half = TrainingOutput(*(getattr(output, name).bfloat16() for name in output.__dataclass_fields__))
    terms = loss(half, table.float(), decorrelation_weight=0.3)
    assert {terms.loss.dtype, terms.patch.dtype, terms.consistency.dtype, terms.decorrelation.dtype} == {torch.float32}
    assert terms.loss.item() == pytest.approx(loss(output, table, decorrelation_weight=0.3).loss.item(), rel=0.05)


def test_stacked_terms_are_in_field_order_and_detached(output: TrainingOutput, table: Tensor) -> None:
    terms = loss(output, table)
    stacked = terms.stacked()
    assert stacked.tolist() == pytest.approx([getattr(terms, name).item() for name in terms.__dataclass_fields__])
    assert stacked[0].item() == pytest.approx(terms.loss.item())
    assert not stacked.requires_grad
