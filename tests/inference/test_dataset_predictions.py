"""One pass over files gives what the model gives on the decoded pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Normalisation, Transform
from svipctl.device import cpu_has_bf16
from svipctl.errors import CheckFailed
from svipctl.inference.dataset_predictions import Predictor
from svipctl.model.recipe import Recipe
from tests.evaluation.cases import benchmark
from tests.model.operators import CONVERTED, Operators
from tests.model.tiny import scramble, svip


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


def predictor(batch_size: int = 2, dtype: torch.dtype = torch.float32) -> Predictor:
    half = Normalisation([0.5] * 3, [0.5] * 3)
    return Predictor(svip(Recipe(keep=2)), Transform(32), half, torch.device("cpu"), dtype, batch_size)


@torch.no_grad()
def test_predictions_equal_the_model_image_by_image_in_the_order_asked_for(data: Benchmark) -> None:
    tool, indices = predictor(), np.array([7, 0, 3])
    found = tool.predict(data, indices, source_scores=True)
    for row, index in enumerate(indices):
        pixels = np.asarray(Image.open(data.image_path(index))).transpose(2, 0, 1)[None]
        images = (torch.tensor(pixels, dtype=torch.float32) / 255 - 0.5) / 0.5
        expected = tool.model.predict(images)
        np.testing.assert_allclose(found.attributes[row], expected.attributes[0], atol=1e-4)
        np.testing.assert_allclose(found.unrelated[row], expected.unrelated[0], atol=1e-5)
        np.testing.assert_allclose(found.source_scores[row], tool.model.source_scores(images)[0], atol=1e-5)


def test_progress_counts_to_the_end_and_the_model_evaluates(data: Benchmark) -> None:
    tool, calls = predictor(), []
    tool.model.train()
    found = tool.predict(data, np.arange(5), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 5), (4, 5), (5, 5)]
    assert not tool.model.training
    assert found.source_scores is None


def test_no_images_give_empty_arrays_of_the_right_width(data: Benchmark) -> None:
    found = predictor().predict(data, np.zeros(0, dtype=np.int64), source_scores=True)
    assert (found.attributes.shape, found.unrelated.shape, found.source_scores.shape) == ((0, 5), (0, 4), (0, 4))


def test_bf16_predictions_are_float64_and_near(data: Benchmark) -> None:
    exact, half = (predictor(dtype=dtype).predict(data, np.arange(3)) for dtype in (torch.float32, torch.bfloat16))
    assert half.attributes.dtype == np.float64
    assert np.abs(half.unrelated - exact.unrelated).max() < 0.1


@pytest.mark.skipif(not cpu_has_bf16(), reason="weights are kept for bf16 products only")
def test_bf16_weights_are_converted_once_a_pass_and_anew_in_the_next(data: Benchmark) -> None:
    tool = predictor(dtype=torch.bfloat16)
    with Operators() as ran:
        before = tool.predict(data, np.arange(6))
    assert ran.names.count(CONVERTED) == 4 * len(tool.model.backbone.blocks)
    scramble(tool.model, seed=9)  # as the next epoch of training does
    after = tool.predict(data, np.arange(6))
    fresh = predictor(dtype=torch.bfloat16)
    fresh.model.load_state_dict(tool.model.state_dict())
    np.testing.assert_array_equal(after.attributes, fresh.predict(data, np.arange(6)).attributes)
    assert not np.allclose(after.attributes, before.attributes, atol=0.1)


def test_predictions_that_are_not_finite_are_refused(data: Benchmark) -> None:
    tool = predictor()
    with torch.no_grad():
        tool.model.attribute_head.bias.fill_(float("nan"))
    with pytest.raises(CheckFailed, match="not finite"):
        tool.predict(data, np.arange(3))
