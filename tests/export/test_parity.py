"""Parity sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.parity import BATCHES, BatchComparison, Parity, compare
from svipctl.export.runner import Outputs
from svipctl.inference.class_table import ClassTable
from svipctl.model.recipe import Recipe
from tests.inference.models import trained_model
from tests.model.tiny import ATTRIBUTES, svip


class GraphRunner:
    """The graph itself, as if it had been exported."""

    runtime = "eager"

    def __init__(self, graph: ExportGraph) -> None:
        self.graph = graph
        self.batches: set[int] = set()
        self.classes: set[int] = set()

    def __call__(self, images: np.ndarray, class_attributes: np.ndarray, gamma: np.ndarray) -> Outputs:
        self.batches.add(len(images))
        self.classes.add(len(class_attributes))
        with torch.no_grad():
            given = (torch.from_numpy(array) for array in (images, class_attributes, gamma))
            return Outputs(*(output.numpy() for output in self.graph(*given)))


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return paths


def checked(images: list[Path], *, change: float = 0.0, pixels: Pixels | None = None) -> tuple[Parity, GraphRunner]:
    model = trained_model(svip(Recipe(keep=2)))
    pixels = pixels or Pixels()
    runner = GraphRunner(ExportGraph(model.network, model.metadata.mean, model.metadata.std, 32, pixels))
    with torch.no_grad():
        runner.graph.model.attribute_head.weight[0, 0] += change
    table = np.random.default_rng(1).random((5, ATTRIBUTES))
    classes = ClassTable(tuple("abcde"), table, np.arange(5) < 3)
    labels = np.arange(20) % 5
    return compare(runner, model, pixels, classes, 0.1, images, labels, 1e-3), runner


@pytest.mark.parametrize("pixels", [Pixels(), Pixels("float"), Pixels("uint8", resize=True)])
def test_a_faithful_file_passes_at_every_batch_size_on_two_tables(images: list[Path], pixels: Pixels) -> None:
    parity, runner = checked(images, pixels=pixels)
    assert parity.breaches == []
    assert set(BATCHES) <= runner.batches
    assert len(runner.classes) == 2
    assert {(one.batch, one.table) for one in parity.comparisons} == {
        (batch, table) for batch in BATCHES for table in ("own", "other")
    }
    assert parity.accuracy["images"] == 20
    assert parity.accuracy["model"] == parity.accuracy["exported"]


def test_one_changed_weight_is_a_breach(images: list[Path]) -> None:
    parity, _ = checked(images, change=0.5)
    assert parity.breaches
    assert not parity.document()["passed"]


def outputs(scores: list[list[float]]) -> Outputs:
    return Outputs(np.array(scores), np.zeros((len(scores), 2)), np.zeros((len(scores), 4)))


def test_a_narrow_change_of_the_answer_is_no_breach_and_a_wide_one_is() -> None:
    narrow, wide = BatchComparison(1, "own"), BatchComparison(1, "own")
    narrow.add(outputs([[0.5, 0.5001]]), outputs([[0.5001, 0.5]]), 1e-3)
    wide.add(outputs([[0.5, 0.6]]), outputs([[0.6, 0.5]]), 1e-3)
    assert (narrow.equal, narrow.decided_otherwise, narrow.breaches(1e-3)) == (0, 0, [])
    assert wide.decided_otherwise == 1
    assert any("another class" in breach for breach in wide.breaches(1e-3))


def test_what_is_not_a_number_never_passes() -> None:
    one = BatchComparison(1, "own")
    one.add(outputs([[np.nan, 0.0]]), outputs([[0.1, 0.0]]), 1e-3)
    one.add(outputs([[0.1, 0.0]]), outputs([[0.1, 0.0]]), 1e-3)
    assert any("differ by nan" in breach for breach in one.breaches(1e-3))
