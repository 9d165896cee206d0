"""Test that one pass over files gives what the model gives on the decoded pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import CheckFailed, ConfigError
from svipctl.inference.dataset_predictions import predict_dataset
from svipctl.model.recipe import Recipe
from tests.evaluation.cases import benchmark
from tests.inference.models import trained_model
from tests.model.operators import Operators
from tests.model.tiny import scramble, svip


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


@torch.no_grad()
def test_predictions_equal_the_model_image_by_image_in_the_requested_order(data: Benchmark) -> None:
    model, indices = trained_model(), np.array([7, 0, 3])
    found = predict_dataset(model, data, indices, batch_size=2, source_scores=True)
    for row, index in enumerate(indices):
        pixels = np.asarray(Image.open(data.image_path(index))).transpose(2, 0, 1)[None]
        images = (torch.tensor(pixels, dtype=torch.float32) / 255 - 0.5) / 0.5
        expected = model.network.predict(images)
        np.testing.assert_allclose(found.attributes[row], expected.attributes[0], atol=1e-4)
        np.testing.assert_allclose(found.unrelated[row], expected.unrelated[0], atol=1e-5)
        np.testing.assert_allclose(found.source_scores[row], model.network.source_scores(images)[0], atol=1e-5)


def test_progress_counts_to_the_end_and_the_network_is_in_evaluation_mode(data: Benchmark) -> None:
    model, calls, training = trained_model(), [], []
    model.network.train()

    def progress(done: int, total: int) -> None:
        calls.append((done, total))
        training.append(model.network.training)

    found = predict_dataset(model, data, np.arange(5), batch_size=2, progress=progress)
    assert calls == [(2, 5), (4, 5), (5, 5)]
    assert not any(training)
    assert model.network.training
    assert found.source_scores is None


def test_no_images_give_empty_arrays_of_the_right_width(data: Benchmark) -> None:
    found = predict_dataset(trained_model(), data, np.zeros(0, dtype=np.int64), source_scores=True)
    assert (found.attributes.shape, found.unrelated.shape, found.source_scores.shape) == ((0, 5), (0, 4), (0, 4))


def test_bf16_predictions_are_float64_and_near(data: Benchmark) -> None:
    exact, half = (
        predict_dataset(trained_model(dtype=dtype), data, np.arange(3)) for dtype in (torch.float32, torch.bfloat16)
    )
    assert half.attributes.dtype == np.float64
    assert np.abs(half.unrelated - exact.unrelated).max() < 0.1


def test_bf16_weights_are_converted_once_per_pass_and_again_in_the_next(data: Benchmark) -> None:
    model = trained_model(dtype=torch.bfloat16)
    with Operators() as ran:
        before = predict_dataset(model, data, np.arange(6), batch_size=2)
    assert set(ran.conversions()) == {1}
    scramble(model.network, seed=9)  # as the next epoch of training does
    after = predict_dataset(model, data, np.arange(6), batch_size=2)
    fresh = trained_model(dtype=torch.bfloat16)
    fresh.network.load_state_dict(model.network.state_dict())
    np.testing.assert_array_equal(after.attributes, predict_dataset(fresh, data, np.arange(6), batch_size=2).attributes)
    assert not np.allclose(after.attributes, before.attributes, atol=0.1)


def test_predictions_that_are_not_finite_are_refused(data: Benchmark) -> None:
    model = trained_model()
    with torch.no_grad():
        model.network.attribute_head.bias.fill_(float("nan"))
    with pytest.raises(CheckFailed, match="not finite"):
        predict_dataset(model, data, np.arange(3))


@torch.no_grad()
def test_a_selection_by_the_object_uses_the_masks(tmp_path: Path) -> None:
    """The object of every image fills the first of four windows."""
    data = benchmark(tmp_path, masks=True)
    model = trained_model(svip(Recipe(keep=1, selection="object")))
    found = predict_dataset(model, data, np.array([3, 1]))
    for row, index in enumerate((3, 1)):
        pixels = model.transform(Image.open(data.image_path(index)))[None]
        expected = model.predict_pixels(pixels, coverage=torch.tensor([[1.0, 0, 0, 0]]))
        np.testing.assert_allclose(found.attributes[row], expected.attributes[0], atol=1e-5)
        other = model.predict_pixels(pixels, coverage=torch.tensor([[0, 0, 0, 1.0]]))
        assert not np.allclose(found.attributes[row], other.attributes[0], atol=1e-5)
    with pytest.raises(ConfigError, match="has neither masks nor boxes"):
        predict_dataset(model, benchmark(tmp_path), np.array([3, 1]))
