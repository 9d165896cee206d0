"""Test controls of the selection: what replaces the learned scores, and the network without its second pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from svipctl.errors import ConfigError
from svipctl.model.losses import TrainingOutput, group_columns, training_loss
from svipctl.model.recipe import Recipe
from svipctl.model.selection_controls import centre_scores, drawn_scores, object_scores, random_scores
from svipctl.model.windows import WindowGrid, top_mask
from tests.model.tiny import images, svip, vit

GRID = WindowGrid(8, 8, 2)


def test_random_selection_of_an_image_does_not_depend_on_its_batch() -> None:
    pixels = images(4)
    together = random_scores(pixels, 16, training=False)
    alone = torch.cat([random_scores(pixels[index : index + 1], 16, training=False) for index in range(4)])
    assert torch.equal(together, alone)
    assert torch.equal(random_scores(pixels.flip(0), 16, training=False), together.flip(0))
    assert len(torch.unique(together, dim=0)) == 4


def test_random_selection_chooses_every_window_equally_often() -> None:
    scores = random_scores(torch.randn(2000, 3, 4, 4, generator=torch.Generator().manual_seed(1)), 16, training=False)
    chosen = top_mask(scores, 4).double().mean(dim=0)
    assert chosen.sub(0.25).abs().max() < 4.5 * (0.25 * 0.75 / 2000) ** 0.5


def test_random_selection_in_training_depends_on_seed_epoch_and_image_only() -> None:
    drawn = drawn_scores(1, 2, torch.tensor([7, 3, 5]), 16)
    assert torch.equal(drawn_scores(1, 2, torch.tensor([3, 7]), 16), drawn[[1, 0]])
    others = [drawn, drawn_scores(2, 2, torch.tensor([7]), 16), drawn_scores(1, 3, torch.tensor([7]), 16)]
    assert len(torch.unique(torch.cat(others), dim=0)) == 5
    model = svip(Recipe(selection="random", keep=1)).train()
    picked = [torch.eye(model.grid.windows)[:1].expand(3, -1), torch.eye(model.grid.windows)[1:2].expand(3, -1)]
    ours, others = (model.training_pass(images(3), coverage=scores).contextualized_attributes for scores in picked)
    assert not torch.allclose(ours, others)


def test_random_selection_differs_in_each_training_step() -> None:
    pixels = images(2)
    assert not torch.equal(random_scores(pixels, 16, training=True), random_scores(pixels, 16, training=True))


def test_the_centre_prior_takes_the_middle_windows() -> None:
    chosen = top_mask(centre_scores(GRID, images(2)), 4).reshape(2, 4, 4)
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[1:3, 1:3] = True
    assert torch.equal(chosen, expected.expand(2, 4, 4))


def test_the_oracle_selects_the_windows_of_the_object_and_breaks_ties_by_the_centre() -> None:
    coverage = torch.zeros(1, 16)
    coverage[0, [0, 3, 12]] = torch.tensor([1.0, 0.2, 0.01])
    chosen = top_mask(object_scores(coverage, GRID), 5)[0].nonzero().flatten().tolist()
    assert set(chosen) >= {0, 3, 12}
    assert set(chosen) - {0, 3, 12} <= {5, 6, 9, 10}


def changed(name: str, coverage: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the predicted attributes of training's contextualized pass and of inference under a selection."""
    model = svip(Recipe(keep=2, selection=name))  # type: ignore[arg-type]
    pixels = images()
    return (
        model.training_pass(pixels, coverage=coverage).contextualized_attributes,
        model.predict(pixels, coverage=coverage).attributes,
    )


@pytest.mark.parametrize("name", ["random", "centre", "object"])
def test_a_control_replaces_the_selection_in_training_and_at_inference(name: str) -> None:
    windows = svip(Recipe(keep=2)).grid.windows
    coverage = torch.eye(windows)[:3] if name == "object" else None
    for ours, learned in zip(changed(name, coverage), changed("learned")):
        assert not torch.allclose(ours, learned)


def test_selecting_by_object_follows_the_coverage() -> None:
    windows = svip(Recipe(keep=2)).grid.windows
    first, second = torch.eye(windows)[[0, 0, 0]], torch.eye(windows)[[1, 1, 1]]
    assert not torch.allclose(changed("object", first)[1], changed("object", second)[1])


def test_selecting_by_object_without_its_location_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs the location of the object"):
        changed("object")


def test_without_the_second_pass_training_and_inference_agree_and_pool_every_window() -> None:
    model = svip(Recipe(keep=2, passes="source"))
    output, prediction = model.training_pass(images()), model.predict(images())
    assert torch.allclose(output.source_attributes, prediction.attributes, atol=1e-6)
    assert torch.allclose(prediction.windows.mean(dim=1), prediction.attributes, atol=1e-6)
    both = svip(Recipe(keep=1e9, context="none", context_layout="patch-major"))
    assert torch.allclose(both.predict(images()).attributes, prediction.attributes, atol=1e-5)


def test_a_window_of_one_patch_makes_the_head_linear_on_the_mean_token() -> None:
    model = svip(Recipe(passes="source"), window=1)
    tokens = model.backbone.forward_features(images())[:, 1:]
    expected = model.attribute_head(tokens.mean(dim=1))
    assert torch.allclose(model.predict(images()).attributes, expected, atol=1e-5)


def test_the_class_token_head_reads_the_class_token() -> None:
    model = svip(Recipe(passes="source", head="class-token"))
    expected = model.attribute_head(model.backbone.forward_features(images())[:, 0])
    prediction = model.predict(images())
    assert torch.allclose(prediction.attributes, expected, atol=1e-5)
    assert prediction.windows.shape[1] == model.grid.windows


def test_a_class_token_head_needs_a_class_token_and_one_pass() -> None:
    with pytest.raises(ConfigError, match="no class token"):
        svip(Recipe(passes="source", head="class-token"), backbone=vit(class_token=False, global_pool="avg"))
    with pytest.raises(ValidationError, match="needs method.passes"):
        Recipe(head="class-token")


def test_one_pass_leaves_context_and_classifier_without_gradient() -> None:
    model = svip(Recipe(passes="source"))
    output = model.training_pass(images())
    training_loss(output, torch.tensor([0, 1, 2]), torch.eye(5), group_columns([]), model.recipe).loss.backward()
    untouched = {name for name, value in model.named_parameters() if value.grad is None}
    assert untouched == {
        name for name, _ in model.named_parameters() if name.startswith(("context.", "patch_classifier."))
    }


def loss(**switches: Any) -> float:
    generator = torch.Generator().manual_seed(0)
    source, second = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    output = TrainingOutput(source, second, torch.randn(3, 4, generator=generator).double(), torch.eye(3, 4).double())
    terms = training_loss(
        output, torch.tensor([0, 1, 2]), torch.eye(5).double(), group_columns([[0, 1]]), Recipe(**switches)
    )
    return float(terms.loss)


def test_each_term_of_the_loss_can_be_switched_off_alone() -> None:
    """Weights are linear: the term that is switched off equals the change from doubling it."""
    base = {"decorrelation_weight": 0.5}
    for key, weight in (
        ("source_weight", 1.0),
        ("contextualized_weight", 1.0),
        ("consistency_weight", 1.0),
        ("patch_weight", 1.0),
        ("decorrelation_weight", 0.5),
    ):
        full, off, double = loss(**base), loss(**base | {key: 0.0}), loss(**base | {key: 2 * weight})
        assert off != pytest.approx(full)
        assert full - off == pytest.approx(double - full)


def test_one_pass_is_the_cross_entropy_of_the_source_pass() -> None:
    only = loss(contextualized_weight=0, consistency="none", patch_weight=0)
    assert loss(passes="source") == pytest.approx(only)
