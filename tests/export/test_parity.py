"""Test that the parity check finds differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.parity import BATCHES, BatchComparison, compare
from svipctl.export.runner import Outputs, Runner
from svipctl.inference.class_table import ClassTable
from svipctl.model.recipe import Recipe
from tests.inference.models import trained_model
from tests.model.tiny import ATTRIBUTES, svip


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return paths


Checked = tuple[dict[str, Any], list[tuple[int, int]]]


def checked(images: list[Path], *, change: float = 0.0, pixels: Pixels | None = None) -> Checked:
    """Return the report of the graph itself, as if it had been exported, and the images and classes of each call."""
    model = trained_model(svip(Recipe(keep=2)))
    pixels = pixels or Pixels()
    graph = ExportGraph(model.network, model.metadata.mean, model.metadata.std, 32, pixels)
    with torch.no_grad():
        graph.model.attribute_head.weight[0, 0] += change
    table = np.random.default_rng(1).random((5, ATTRIBUTES))
    classes = ClassTable(tuple("abcde"), table, np.arange(5) < 3)
    labels = np.arange(20) % 5
    calls: list[tuple[int, int]] = []
    graph.register_forward_pre_hook(lambda module, given: calls.append((len(given[0]), len(given[1]))))
    return compare(Runner.of_module("eager", graph), model, pixels, classes, 0.1, images, labels, 1e-3), calls


@pytest.mark.parametrize("pixels", [Pixels(), Pixels("float"), Pixels("uint8", resize=True)])
def test_a_correct_file_passes_at_every_batch_size_on_two_tables(images: list[Path], pixels: Pixels) -> None:
    report, calls = checked(images, pixels=pixels)
    assert report["passed"]
    assert report["breaches"] == []
    assert set(BATCHES) <= {batch for batch, _ in calls}
    assert len({classes for _, classes in calls}) == 2
    assert {(one["batch"], one["classes"]) for one in report["comparisons"]} == {
        (batch, table) for batch in BATCHES for table in ("own", "other")
    }
    assert report["accuracy"]["images"] == 20
    assert report["accuracy"]["model"] == report["accuracy"]["exported"]


def test_one_changed_weight_is_a_breach(images: list[Path]) -> None:
    report, _ = checked(images, change=0.5)
    assert report["breaches"]
    assert not report["passed"]


def outputs(scores: list[list[float]]) -> Outputs:
    return Outputs(np.array(scores), np.zeros((len(scores), 2)), np.zeros((len(scores), 4)))


def test_a_change_of_the_answer_is_a_breach_unless_the_scores_are_close() -> None:
    narrow, wide = BatchComparison(1, "own"), BatchComparison(1, "own")
    narrow.add(outputs([[0.5, 0.5001]]), outputs([[0.5001, 0.5]]), 1e-3)
    wide.add(outputs([[0.5, 0.6]]), outputs([[0.6, 0.5]]), 1e-3)
    assert (narrow.equal, narrow.decided_otherwise, narrow.breaches(1e-3)) == (0, 0, [])
    assert wide.decided_otherwise == 1
    assert any("the predicted class differs" in breach for breach in wide.breaches(1e-3))


def test_a_value_that_is_not_a_number_never_passes() -> None:
    one = BatchComparison(1, "own")
    one.add(outputs([[np.nan, 0.0]]), outputs([[0.1, 0.0]]), 1e-3)
    one.add(outputs([[0.1, 0.0]]), outputs([[0.1, 0.0]]), 1e-3)
    assert any("differ by nan" in breach for breach in one.breaches(1e-3))
