"""Test that a batch in parts gives the gradients of the full batch, and the error for one that does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from svipctl.errors import ConfigError, ResourceError
from svipctl.model.losses import Terms, group_columns, training_loss
from svipctl.model.recipe import Recipe
from svipctl.model.scores import normalise_class_attributes
from svipctl.settings.schema import OptimSettings
from svipctl.training.optimisation import Optimisation
from svipctl.training.step import FIGURES, Stepper
from tests.model.tiny import ATTRIBUTES, images, svip

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0])
RECIPE = Recipe(decorrelation_weight=0.3)


def stepper(room: int | None = None, **options: Any) -> Stepper:
    """Return a step in float64; a forward pass over more than `room` images is out of memory."""
    model = svip(RECIPE).double().train()
    settings = OptimSettings(optimizer="adam", lr=1e-3, clip_norm=1e9, schedule="constant")
    table = normalise_class_attributes(torch.rand(3, ATTRIBUTES, generator=torch.Generator().manual_seed(1)).double())
    groups = group_columns([(0, 1), (2, 3, 4)])

    def loss_of(some: Tensor, labels: Tensor, epoch: int, _: Tensor | None) -> Terms:
        if room is not None and len(some) > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return training_loss(model.training_pass(some), labels, table, groups, RECIPE)

    return Stepper(loss_of, Optimisation(model, settings, epochs=1, steps_per_epoch=9), **options)


def stepped(one: Stepper) -> tuple[Tensor, dict[str, Tensor]]:
    figures = one(images(7).double(), LABELS, 0, 0)
    return figures, {name: value.detach().clone() for name, value in one.optimisation.model.named_parameters()}


def assert_same(one: tuple[Tensor, dict[str, Tensor]], other: tuple[Tensor, dict[str, Tensor]]) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=1e-5, atol=1e-6)  # figures are stored in float32
    torch.testing.assert_close(one[1], other[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("parts", [2, 3, 7, 50])
def test_a_batch_in_uneven_parts_takes_the_same_step_as_the_full_batch(parts: int) -> None:
    assert_same(stepped(stepper(parts=parts)), stepped(stepper()))


def test_auto_divides_until_it_fits_and_takes_the_same_step() -> None:
    one = stepper(room=2, adapt=True)
    assert_same(stepped(one), stepped(stepper()))
    assert one.parts == 4


def test_the_error_of_a_batch_that_does_not_fit_names_the_parts_that_do() -> None:
    one = stepper(room=2)
    before = {name: value.detach().clone() for name, value in one.optimisation.model.named_parameters()}
    with pytest.raises(ResourceError, match="a batch of 7 does not fit") as refused:
        stepped(one)
    assert "as 4 micro-batches of 2" in refused.value.why
    assert "--batch-size auto" in refused.value.todo
    assert all(torch.equal(before[name], value) for name, value in one.optimisation.model.named_parameters())


@pytest.mark.parametrize("adapt", [True, False])
def test_one_image_that_does_not_fit_is_an_error(adapt: bool) -> None:
    with pytest.raises(ResourceError, match="not even one image"):
        stepped(stepper(room=0, adapt=adapt))


def test_a_machine_that_cannot_compile_is_an_error() -> None:
    def no_compiler(*_: object) -> Any:
        raise OSError("no C++ compiler found")

    one = stepper()
    one.optimisation.model.run_blocks(compiled=True, backend=no_compiler)
    with pytest.raises(ConfigError, match=r"torch\.compile does not work") as refused:
        stepped(one)
    assert "no C++ compiler found" in refused.value.why


def test_another_error_is_not_taken_for_out_of_memory() -> None:
    one = stepper()
    one.loss_of = lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        stepped(one)


def test_a_step_measures_every_figure_in_order() -> None:
    figures = dict(zip(FIGURES, stepped(stepper())[0].tolist(), strict=True))
    parts = figures["cross_entropy"] + figures["patch"] + figures["consistency"] + figures["decorrelation"]
    assert figures["loss"] == pytest.approx(parts, rel=1e-5)
    assert figures["gradient_norm"] > 0
    assert 0 <= figures["patch_auc"] <= 1
