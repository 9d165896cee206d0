"""Test that cached features of a frozen stem equal the stem's output on the images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Geometry, Normalisation, Transform, channels_first, decode
from svipctl.inference.dataset_predictions import predict_dataset
from svipctl.inference.stem_features import find_stem_features, prepare_stem_features
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import create_backbone, stem_features, stem_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from tests.inference.models import trained_model

SIZE = 64
HALF = Normalisation([0.5] * 3, [0.5] * 3)


@pytest.fixture
def data(small_folder: Path) -> Benchmark:
    return open_folder(small_folder)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = create_backbone("lite", {"img_size": SIZE, "embed_dim": 16, "depth": 1, "num_heads": 2})
        network = SVIP(backbone, 6, Recipe(context="free", keep=3), window=1, hidden=8).eval()
    return trained_model(network)


def directly(model: TrainedModel, data: Benchmark, file: str, transform: Transform, *, mirror: bool) -> torch.Tensor:
    pixels = Geometry(transform.resize, SIZE)(decode(data.root / file))
    pixels = pixels[:, ::-1] if mirror else pixels
    with torch.no_grad():
        return stem_features(model.network.backbone, HALF(channels_first(pixels)[None]))[0]


@pytest.mark.parametrize("resize", ["shorter-side", "square"])
def test_cached_features_are_those_of_each_image_mirrored_or_not(
    data: Benchmark, model: TrainedModel, resize: str
) -> None:
    transform = Transform(SIZE, resize, "flip")  # type: ignore[arg-type]
    found = prepare_stem_features(model, data, transform)
    files = [data.images[index] for index in data.trainval[[5, 0, 9]]]
    mirror = torch.tensor([True, False, True])
    for row, file, is_mirrored in zip(found.gather(files, mirror), files, mirror):
        expected = directly(model, data, file, transform, mirror=bool(is_mirrored))
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)


def test_evaluation_uses_the_features_that_training_cached(data: Benchmark, model: TrainedModel) -> None:
    assert find_stem_features(model, data) is None
    prepare_stem_features(model, data, Transform(SIZE, "square"))
    found = find_stem_features(model, data)
    assert found is not None
    assert found.gather(data.images).shape[0] == len(data.images)


def test_predictions_are_the_same_with_cached_features_and_without(data: Benchmark, model: TrainedModel) -> None:
    indices = np.concatenate([data.test_unseen, data.test_seen])
    computed = predict_dataset(model, data, indices, batch_size=7, source_scores=True)
    prepare_stem_features(model, data, Transform(SIZE))
    calls: list[int] = []
    kept = predict_dataset(
        model, data, indices, batch_size=7, source_scores=True, progress=lambda done, total: calls.append(done)
    )
    assert calls[-1] == len(indices)
    np.testing.assert_allclose(kept.attributes, computed.attributes, atol=1e-5)
    np.testing.assert_allclose(kept.unrelated, computed.unrelated, atol=1e-5)
    np.testing.assert_allclose(kept.source_scores, computed.source_scores, atol=1e-5)


def test_cached_features_are_read_and_not_computed(
    data: Benchmark, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_stem_features(model, data, Transform(SIZE))

    def computed(*_: object) -> None:
        raise AssertionError("the stem ran")

    monkeypatch.setattr(stem_of(model.network.backbone), "forward", computed)
    predict_dataset(model, data, data.test_seen)
    prepare_stem_features(model, data, Transform(SIZE))


def test_features_are_cached_per_stem_images_and_arithmetic(data: Benchmark, model: TrainedModel) -> None:
    prepare_stem_features(model, data, Transform(SIZE))
    other = SVIP(create_backbone("lite", {"img_size": SIZE, "embed_dim": 16}), 6, Recipe(context="free"), window=1)
    assert find_stem_features(trained_model(other), data) is None
    assert find_stem_features(replace(model, dtype=torch.bfloat16), data) is None
    assert find_stem_features(trained_model(model.network, mean=[0.4] * 3), data) is None
    assert find_stem_features(trained_model(model.network, image_size=2 * SIZE), data) is None
    assert find_stem_features(model, data) is not None
    changed = data.root / data.images[0]
    changed.write_bytes((data.root / data.images[1]).read_bytes())
    os.utime(changed, (1, 1))
    assert find_stem_features(model, data) is None


def test_a_plain_vision_transformer_has_no_features(data: Benchmark) -> None:
    (data.root / "features").mkdir()
    assert find_stem_features(trained_model(), data) is None
