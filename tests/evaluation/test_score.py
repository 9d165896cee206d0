"""From predictions to scores and selection quality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry
from svipctl.evaluation.score import scored, selection
from svipctl.evaluation.truth import ObjectTruth, object_truth
from svipctl.inference.dataset_predictions import Predictions
from svipctl.model.recipe import Recipe
from tests.evaluation.cases import benchmark
from tests.model.tiny import svip


@pytest.fixture
def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(np.array([8, 2, 3]), rng.random((3, 5)), rng.random((3, 4)), rng.random((3, 4)))


def truth_of(data: Benchmark, predictions: Predictions) -> ObjectTruth | None:
    return object_truth(data, predictions.indices, Geometry("shorter-side", 32), (2, 2))


@pytest.mark.parametrize("kind", ["dot", "cosine"])
def test_scores_are_products_with_normalised_class_attributes(
    tmp_path: Path, predictions: Predictions, kind: str
) -> None:
    data = benchmark(tmp_path)
    result = scored(data, data.test_split(), predictions, Recipe(class_score=kind, scale=3))
    table = data.class_attributes / np.linalg.norm(data.class_attributes, axis=1, keepdims=True)
    lengths = np.linalg.norm(predictions.attributes, axis=1, keepdims=True) if kind == "cosine" else 1
    np.testing.assert_allclose(result.scores, predictions.attributes / lengths @ table.T)
    assert (result.labels.tolist(), result.scale) == ([0, 2, 3], 5)
    assert (result.seen_classes.tolist(), result.unseen_classes.tolist()) == ([0, 1], [2, 3])


def test_selection_measures_against_labels_and_masks(tmp_path: Path, predictions: Predictions) -> None:
    model = svip(Recipe(keep=2))
    found = selection(model, predictions, truth_of(benchmark(tmp_path, masks=True), predictions))
    assert set(found) == {"auc", "recall", "mask"}
    first = predictions.unrelated[:, :1]  # the object fills window 0, the others are background
    assert found["mask"]["auc"] == pytest.approx(100 * (predictions.unrelated[:, 1:] > first).mean())
    boxes = np.tile([0.0, 0.0, 16.0, 16.0], (12, 1))  # the same quarter as the masks
    boxed = replace(benchmark(tmp_path), boxes=boxes)
    assert selection(model, predictions, truth_of(boxed, predictions))["box"] == found["mask"]
    assert set(selection(model, predictions, truth_of(benchmark(tmp_path), predictions))) == {"auc", "recall"}


def test_masks_go_through_the_geometry_of_the_images(tmp_path: Path, predictions: Predictions) -> None:
    data = benchmark(tmp_path, masks=True)
    for mask in data.masks:  # wide pictures whose object lies in the left quarter, which the centre crop cuts away
        pixels = np.zeros((32, 64), dtype=np.uint8)
        pixels[:, :16] = 255
        Image.fromarray(pixels).save(tmp_path / mask)
    assert selection(svip(Recipe(keep=2)), predictions, truth_of(data, predictions))["mask"] == {}
