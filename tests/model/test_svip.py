"""Test the complete network, step by step, on a tiny backbone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import linear

from svipctl.errors import ConfigError
from svipctl.model.backbone import embed_patches, encode
from svipctl.model.losses import group_columns, training_loss
from svipctl.model.recipe import Recipe
from svipctl.model.rollout import last_attention_scores, paper_rollout_scores, rollout_scores, similarity_scores
from svipctl.model.svip import SVIP
from tests.model.tiny import ATTRIBUTES, images, svip, vit, words


@pytest.fixture
def model() -> SVIP:
    """Return a network with 4 windows of 4 patches, 2 of them kept."""
    return svip(Recipe(keep=2))


@pytest.mark.parametrize("size", [1, 3])
@torch.no_grad()
def test_every_output_has_the_documented_shape(model: SVIP, size: int) -> None:
    prediction, output = model.predict(images(size)), model.training_pass(images(size))
    assert prediction.attributes.shape == output.source_attributes.shape == (size, ATTRIBUTES)
    assert output.contextualized_attributes.shape == (size, ATTRIBUTES)
    assert prediction.unrelated.shape == output.patch_logits.shape == output.patch_targets.shape == (size, 4)
    assert prediction.windows.shape == (size, 4, ATTRIBUTES)
    assert torch.equal(model(images(size)), prediction.attributes)


@torch.no_grad()
def test_an_image_is_predicted_equally_alone_and_in_a_batch(model: SVIP) -> None:
    alone = torch.cat([model(image.unsqueeze(0)) for image in images(3)])
    torch.testing.assert_close(alone, model(images(3)), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_inference_equals_its_explicit_steps(model: SVIP) -> None:
    pixels = images(3)
    patches = embed_patches(model.backbone, pixels)
    first, _, last = model.patch_classifier
    logits = linear(linear(model.grid.group(patches), first.weight, first.bias).relu(), last.weight, last.bias)[..., 0]
    expected = []
    for image in range(3):
        rejected = set(logits[image].topk(2).indices.tolist())
        changed = model.grid.group(patches[image : image + 1]).clone()
        for window in rejected:
            changed[0, window] += model.context()
        features = model.grid.group(encode(model.backbone, model.grid.ungroup(changed))[0])[0]
        kept = [linear(features[w], *model.attribute_head.parameters()) for w in range(4) if w not in rejected]
        expected.append(torch.stack(kept).mean(dim=0))
    prediction = model.predict(pixels)
    torch.testing.assert_close(prediction.attributes, torch.stack(expected), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(prediction.unrelated, 1 / (1 + (-logits).exp()))


@torch.no_grad()
def test_contextualize_adds_e_to_unrelated_windows_only(model: SVIP) -> None:
    patches = embed_patches(model.backbone, images(2))
    related = torch.tensor([[True, False, True, False], [False, True, True, True]])
    change = model.grid.group(model.contextualize(patches, related) - patches)
    assert change[related].abs().max() == 0
    torch.testing.assert_close(change[~related], model.context().expand(3, -1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("context", ["none", "free"])
@torch.no_grad()
def test_with_zero_context_both_passes_are_equal(context: str) -> None:
    model = svip(Recipe(keep=2, context=context))
    if context == "free":
        model.context.vector.zero_()
    output = model.training_pass(images())
    assert torch.equal(output.source_attributes, output.contextualized_attributes)


@torch.no_grad()
def test_with_a_context_the_passes_differ(model: SVIP) -> None:
    output = model.training_pass(images())
    assert (output.source_attributes - output.contextualized_attributes).abs().max() > 1e-3


@pytest.mark.parametrize("source", ["rollout", "paper-rollout", "attention", "cosine"])
@pytest.mark.parametrize("pooling", ["windows", "runs"])
@torch.no_grad()
def test_source_scores_are_those_of_the_recipes_score_source(source: str, pooling: str) -> None:
    model = svip(Recipe(keep=2, score_source=source, score_pooling=pooling))
    tokens, attention = encode(model.backbone, embed_patches(model.backbone, images()))
    functions = {"rollout": rollout_scores, "paper-rollout": paper_rollout_scores, "attention": last_attention_scores}
    pool = model.grid.average if pooling == "windows" else model.grid.average_runs
    if source == "cosine":
        expected = similarity_scores(model.grid.group(tokens))
    else:
        expected = pool(functions[source](attention, prefix=1, class_token=1 > 0))
    assert torch.equal(model.source_scores(images()), expected)
    targets = model.training_pass(images()).patch_targets
    assert [row.nonzero().flatten().tolist() for row in targets] == [
        sorted(row.topk(2, largest=False).indices.tolist()) for row in expected
    ]


@torch.no_grad()
def test_soft_targets_are_one_minus_score_over_maximum() -> None:
    model = svip(Recipe(classifier_targets="soft"))
    targets = model.patch_targets(torch.tensor([[1.0, 2.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert targets.tolist() == [[0.75, 0.5, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("choice", ["selected", "similar", "all"])
@torch.no_grad()
def test_pooling_covers_exactly_the_chosen_windows(choice: str, pooling: str) -> None:
    model = svip(Recipe(keep=3, source_windows=choice, pooling=pooling, training_selection="classifier"))
    patches = embed_patches(model.backbone, images())
    features = model.grid.group(encode(model.backbone, patches)[0])
    by = {
        "selected": -model.patch_classifier.logits(model.grid.group(patches)),
        "similar": similarity_scores(features),
        "all": torch.zeros(3, 4),
    }[choice]
    expected = []
    for image, ranking in zip(features, by):
        windows = model.attribute_head(image[ranking.topk(4 if choice == "all" else 3).indices])
        expected.append(windows.mean(dim=0) if pooling == "mean" else windows.amax(dim=0))
    output = model.training_pass(images())
    torch.testing.assert_close(output.source_attributes, torch.stack(expected), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_window_of_one_patch_works_on_a_7x7_grid() -> None:
    model = svip(Recipe(keep=40), window=1, backbone=vit(img_size=28, patch_size=4))
    assert (model.grid.windows, model.keep, model.attribute_head.in_features) == (49, 40, 16)
    assert model(images(1, 28)).shape == (1, ATTRIBUTES)
    assert model.training_pass(images(2, 28)).patch_targets.sum(dim=-1).tolist() == [9, 9]


def loss(model: SVIP, **arguments: Any) -> torch.Tensor:
    table = torch.eye(ATTRIBUTES)
    output = model.training_pass(images(), **arguments)
    return training_loss(output, torch.tensor([0, 1, 2]), table, group_columns([(0, 1)]), model.recipe).loss


def test_frozen_backbone_gets_no_gradient_but_head_and_classifier_do(model: SVIP) -> None:
    loss(model, frozen_backbone=True).backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    trained = [*model.attribute_head.parameters(), *model.patch_classifier.parameters()]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained)


def test_every_parameter_gets_a_gradient_when_nothing_is_frozen(model: SVIP) -> None:
    loss(model).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_frozen_backbone_changes_no_value(model: SVIP) -> None:
    assert loss(model, frozen_backbone=True).item() == pytest.approx(loss(model).item())


def test_bf16_autocast_gives_finite_outputs_and_a_full_precision_loss(model: SVIP) -> None:
    exact = loss(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model.training_pass(images())
        prediction = model.predict(images())
        scores = model.source_scores(images())
    assert prediction.windows.dtype == torch.bfloat16
    in_full = (output.source_attributes, output.patch_logits, prediction.attributes, prediction.unrelated, scores)
    assert {values.dtype for values in in_full} == {torch.float32}
    assert all(torch.isfinite(getattr(output, name)).all() for name in output.__dataclass_fields__)
    assert torch.isfinite(prediction.attributes).all()
    groups = group_columns([(0, 1)])
    half = training_loss(output, torch.tensor([0, 1, 2]), torch.eye(ATTRIBUTES), groups, model.recipe).loss
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=0.2)


def test_head_parameters_are_everything_but_the_backbone(model: SVIP) -> None:
    heads = {id(parameter) for parameter in model.head_parameters()}
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    assert not heads & backbone
    assert heads | backbone == {id(parameter) for parameter in model.parameters()}


def test_window_that_does_not_tile_the_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="side 3 do not tile a grid of 4x4"):
        svip(window=3)


@pytest.mark.parametrize(("vectors", "why"), [(None, "none were given"), (words(4), "there are 4")])
def test_missing_word_vectors_are_refused(vectors: torch.Tensor | None, why: str) -> None:
    with pytest.raises(ConfigError, match="a word vector for each of the 5 attributes") as caught:
        SVIP(vit(), ATTRIBUTES, Recipe(), word_vectors=vectors)
    assert caught.value.why == why


def gradients(*, half: bool = False, arguments: dict[str, Any] | None = None, **options: Any) -> tuple[SVIP, int]:
    """Return a network with the gradients of both passes, and the bytes saved for them without the parameters."""
    model = svip(backbone=vit(**(arguments or {}))).train()
    model.run_blocks(**options)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    torch.manual_seed(2)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
    ):
        output = model.training_pass(images())
    (output.source_attributes.sum() + output.contextualized_attributes.square().sum()).backward()
    return model, sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize(
    "options",
    [
        {"checkpointing": "mlp"},
        {"checkpointing": "blocks"},
        {"compiled": True, "backend": "aot_eager"},
        {"compiled": True, "backend": "aot_eager", "checkpointing": "mlp"},
    ],
)
def test_checkpointing_and_compiling_the_blocks_change_no_gradient(options: dict[str, Any]) -> None:
    (plain, _), (other, _) = gradients(), gradients(**options)
    for (name, one), two in zip(plain.named_parameters(), other.parameters()):
        assert (one.grad is None) == (two.grad is None), name
        if one.grad is not None and two.grad is not None:
            torch.testing.assert_close(two.grad, one.grad)


@pytest.mark.parametrize("kind", ["mlp", "blocks"])
@pytest.mark.parametrize("half", [False, True])
def test_recomputation_repeats_dropout_and_the_arithmetic(kind: Any, half: bool) -> None:
    drops = {"proj_drop_rate": 0.3, "attn_drop_rate": 0.2, "drop_path_rate": 0.4, "init_values": 0.5}
    (plain, _), (other, _) = (gradients(checkpointing=one, half=half, arguments=drops) for one in ("none", kind))
    found, again = (
        {name: p.grad for name, p in net.named_parameters() if p.grad is not None} for net in (plain, other)
    )
    assert len(found) > 20
    torch.testing.assert_close(again, found, rtol=0, atol=0)


def test_checkpointing_saves_less_the_more_it_recomputes() -> None:
    (_, everything), (_, without_mlp), (_, inputs) = (
        gradients(checkpointing=kind) for kind in ("none", "mlp", "blocks")
    )
    # Of each block, in both passes: norm's output, hidden layer before and after GELU; 3 x 17 tokens of width 16.
    assert everything - without_mlp >= 2 * 2 * (1 + 4 + 4) * 3 * 17 * 16 * 4
    assert inputs < without_mlp / 2
