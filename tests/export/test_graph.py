"""Test that the graph computes what evaluation computes, for any class table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.torch_export import traced
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from tests.inference.models import trained_model
from tests.marks import first_fast
from tests.model.tiny import ATTRIBUTES, svip, vit

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
RECIPES = [
    Recipe(keep=2),
    Recipe(keep=2, pooling="max", class_score="dot", class_norm_epsilon=1e-5, inference_windows="all"),
    Recipe(keep=3, inference_windows="similar", context="none"),
    Recipe(
        passes="source", head="attribute-attention", class_attributes="whitened", fusion="eszsl", prototype_weight=2.0
    ),
    Recipe(keep=2, head="attribute-attention", attention_queries="words", class_attributes="centred", fusion="ridge"),
]


def noise_images(count: int = 3, width: int = 32, height: int = 32) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def table(classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    return rng.random((classes, ATTRIBUTES), dtype=np.float32), rng.random(classes, dtype=np.float32)


def expected(network: SVIP, images: np.ndarray, given: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return class scores, attributes and patch scores as evaluation computes them."""
    model, (classes, gamma) = trained_model(network, mean=MEAN, std=STD), given
    prediction = model.predict_pixels(torch.stack([model.transform(Image.fromarray(image)) for image in images]))
    scores = network.scorer(prediction.attributes, torch.from_numpy(classes))
    return scores.numpy() - gamma, prediction.attributes.numpy(), 1 - prediction.unrelated.numpy()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", ["uint8", "float"])
@pytest.mark.parametrize("resize", [False, True])
def test_pixels_of_either_kind_give_what_evaluation_gives(recipe: Recipe, kind: str, resize: bool) -> None:
    model, pixels = svip(recipe), Pixels(kind, resize)  # type: ignore[arg-type]
    images = noise_images(2, 45, 60) if resize else noise_images(2)
    graph = ExportGraph(model, MEAN, STD, 32, pixels)
    for classes in (1, 7):
        given = table(classes)
        channels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            found = graph(pixels.of_bytes(channels), *(torch.from_numpy(array) for array in given))
        for ours, theirs in zip(found, expected(model, images, given)):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_half_precision_selects_the_same_windows_and_leaves_the_model_unchanged() -> None:
    model, given = svip(RECIPES[0]), table(4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    graph = ExportGraph(model, MEAN, STD, 32, Pixels(), "fp16")
    images = noise_images()
    with torch.no_grad():
        found = graph(
            torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), *(torch.from_numpy(array) for array in given)
        )
    assert next(graph.model.backbone.blocks.parameters()).dtype == torch.float16
    scores, _, patch_scores = expected(model, images, given)
    np.testing.assert_allclose(found[2].numpy(), patch_scores, atol=1e-6)
    np.testing.assert_allclose(found[0].numpy(), scores, atol=2e-2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "recipe",
    first_fast(
        [
            RECIPES[3],
            Recipe(keep=2, inference_windows="similar", pooling="max", context="none"),
            Recipe(keep=2, selection="centre"),
            Recipe(keep=1e9),
            Recipe(passes="source"),
            Recipe(passes="source", head="class-token"),
            RECIPES[4],
        ],
        2,
    ),
)
def test_controls_and_baselines_are_traced_with_a_free_batch(recipe: Recipe) -> None:
    graph = ExportGraph(svip(recipe, backbone=vit(depth=1)), MEAN, STD, 32, Pixels())
    given = (
        torch.from_numpy(noise_images(5).transpose(0, 3, 1, 2).copy()),
        *(torch.from_numpy(one) for one in table(4)),
    )
    with torch.no_grad():
        for found, wanted in zip(traced(graph).module()(*given), graph(*given)):
            torch.testing.assert_close(found, wanted)
