"""Test that on a GPU all tensors are on the GPU, and nothing waits for it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException

from svipctl.datasets import images as pixels
from svipctl.device import autocast
from svipctl.model.losses import training_loss
from svipctl.model.recipe import Recipe
from svipctl.settings.layers import resolve
from svipctl.settings.schema import OptimSettings
from svipctl.training.optimisation import Optimisation
from tests.marks import first_fast
from tests.model.gpu import GPU, is_supported, moved, on_gpu
from tests.model.tiny import ATTRIBUTES, svip, vit
from tests.reference.test_switches_matter import FLIPPED

REFERENCE = resolve("cub", flags={"recipe": "reference"}).settings.method
RECIPES = {name: resolve("cub", flags={"recipe": name}).settings.method for name in ("svipctl", "reference", "paper")}
RECIPES |= {name: REFERENCE.model_copy(update={name: value}) for name, value in FLIPPED.items()}
RECIPES["head"] = REFERENCE.model_copy(update={"head": "class-token", "passes": "source"})


@pytest.fixture(scope="module", autouse=True)
def _needs_tensors_without_values() -> None:
    if not is_supported():
        pytest.skip(f"torch {torch.__version__} cannot pretend to have a GPU")


def placed(thing: Any) -> set[torch.device]:
    """Return the devices of an object's tensors."""
    values = [getattr(thing, field.name) for field in fields(thing)]
    return {value.device for value in values if isinstance(value, Tensor)}


@pytest.mark.parametrize("dtype", first_fast([torch.bfloat16, torch.float32]))
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_both_passes_and_the_loss_are_on_the_gpu_and_never_wait(
    recipe: Recipe, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = svip(recipe).train()
    with on_gpu(monkeypatch):
        moved(model)
        images, labels = torch.randn(3, 3, 32, 32, device=GPU), torch.randint(0, 4, (3,), device=GPU)
        coverage = torch.rand(3, model.grid.windows, device=GPU)
        table, groups = torch.rand(4, ATTRIBUTES, device=GPU), torch.tensor([[0, 1]], device=GPU)
        for frozen in (False, True):
            with autocast(dtype, GPU):
                output = model.training_pass(images, frozen_backbone=frozen, coverage=coverage)
            terms = training_loss(output, labels, table, groups, recipe)
            assert placed(output) == placed(terms) == {terms.stacked().device} == {GPU}
            assert terms.loss.dtype == torch.float32


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_inference_is_on_the_gpu_and_never_waits(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    model = svip(recipe)
    with on_gpu(monkeypatch), torch.inference_mode(), autocast(torch.bfloat16, GPU):
        moved(model)
        images = torch.randn(3, 3, 32, 32, device=GPU)
        coverage = torch.rand(3, model.grid.windows, device=GPU)
        assert placed(model.predict(images, coverage=coverage)) == {GPU}
        assert {scores.device for scores in model.source_attention(images)} == {GPU}
        assert model.source_scores(images).device == GPU


def test_a_backbone_without_class_token_is_scored_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = svip(backbone=vit(class_token=False, global_pool="avg"))
    with on_gpu(monkeypatch):
        assert moved(model).source_scores(torch.randn(2, 3, 32, 32, device=GPU)).device == GPU


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_update_is_on_the_gpu_and_never_waits(optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = svip()
    with on_gpu(monkeypatch):
        settings = OptimSettings(optimizer=optimizer)
        optimisation = Optimisation(moved(model), settings, epochs=2, steps_per_epoch=3)
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter)
        assert optimisation.apply(0, 0).device == GPU
        moments = [state["exp_avg"].device for state in optimisation.optimizer.state.values()]
        assert set(moments) == {GPU}
        assert len(moments) == len(list(model.parameters()))


def test_pixels_are_mirrored_and_normalised_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_gpu(monkeypatch):
        images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8, device=GPU)
        flipped = pixels.mirrored(images, torch.tensor([True, False]))
        try:
            normalised = pixels.NORMALISATIONS["half"](flipped)
        finally:
            pixels._channels.cache_clear()  # the cached constants have no values
    assert flipped.device == normalised.device == GPU
    assert normalised.dtype == torch.float32


def test_a_wait_for_a_value_would_be_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_gpu(monkeypatch), pytest.raises(DataDependentOutputException):
        torch.randn(3, device=GPU).sum().item()


def test_a_tensor_on_another_device_would_be_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_gpu(monkeypatch), pytest.raises(RuntimeError, match="device"):
        torch.randn(3, device=GPU) + torch.randn(3)
