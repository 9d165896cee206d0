"""Test features of a data set's images: computed by a backbone once, or read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.images import decode
from svipctl.inference.image_features import ImageFeatures, dataset_features, features_from_file, image_features
from svipctl.inference.load import backbone_model
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import embed_patches, encode, stem_features
from tests.inference.conftest import settings_of


@pytest.fixture
def features(small_folder: Path, benchmark: Benchmark) -> ImageFeatures:
    return image_features(settings_of(small_folder), benchmark)


def mean_patch(model: TrainedModel, pixels: torch.Tensor) -> np.ndarray:
    """Return the expected value: the mean patch token of one image."""
    backbone = model.network.backbone
    tokens, _ = encode(backbone, embed_patches(backbone, model.inputs(pixels[None])))
    return tokens[0].mean(dim=0).detach().numpy()


def test_features_are_the_mean_patch_token_of_the_backbone(
    features: ImageFeatures, model: TrainedModel, benchmark: Benchmark
) -> None:
    pixels = model.transform(decode(benchmark.image_path(3)))
    np.testing.assert_allclose(features.of(np.array([3]))[0], mean_patch(model, pixels), atol=1e-6)
    assert features.warnings == ("the backbone has random weights, so these are random features",)


def test_mirrored_features_are_those_of_the_mirror_image(
    features: ImageFeatures, model: TrainedModel, benchmark: Benchmark
) -> None:
    index = int(benchmark.trainval[2])
    pixels = model.transform(decode(benchmark.image_path(index))).flip(2)
    found = features.of_mirrored(np.array([index]))
    assert found is not None
    np.testing.assert_allclose(found[0], mean_patch(model, pixels), atol=1e-6)
    assert np.abs(found[0] - features.of(np.array([index]))[0]).max() > 1e-5


def test_features_are_computed_once(small_folder: Path, benchmark: Benchmark) -> None:
    settings = settings_of(small_folder)
    computed: list[tuple[int, int]] = []
    first = image_features(settings, benchmark, lambda *done: computed.append(done))
    assert (len(benchmark.images),) * 2 in computed
    assert computed[-1] == (len(benchmark.trainval),) * 2  # their mirror images
    computed.clear()
    again = image_features(settings, benchmark, lambda *done: computed.append(done))
    assert computed == [], "the second call reads the cached features of the first"
    np.testing.assert_array_equal(again.of(benchmark.trainval), first.of(benchmark.trainval))
    np.testing.assert_array_equal(again.of_mirrored(benchmark.trainval), first.of_mirrored(benchmark.trainval))


def test_features_of_a_data_set_are_those_of_its_files(model: TrainedModel, benchmark: Benchmark) -> None:
    files = [benchmark.image_path(index) for index in range(len(benchmark.images))]
    calls: list[int] = []
    given = model.embed(files, batch_size=9, progress=lambda done, total: calls.append(done))
    np.testing.assert_allclose(dataset_features(model, benchmark).plain, given, atol=1e-6)
    assert calls[-1] == len(files)


def test_features_of_a_hybrid_are_the_mean_over_its_stems_positions(small_folder: Path, benchmark: Benchmark) -> None:
    network = "model.backbone_args={img_size=64,embed_dim=16,depth=1,num_heads=2}"
    model = backbone_model(settings_of(small_folder, "lite", network))
    found = dataset_features(model, benchmark)
    pixels = torch.stack([model.transform(decode(benchmark.image_path(index))) for index in (0, 7)])
    with torch.no_grad():
        expected = stem_features(model.network.backbone, model.inputs(pixels)).mean(dim=(2, 3)).numpy()
        mirrored = stem_features(model.network.backbone, model.inputs(pixels.flip(3))).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(found.of(np.array([0, 7])), expected, atol=1e-5)
    np.testing.assert_allclose(found.of_mirrored(np.array([0]))[0], mirrored[0], atol=1e-5)  # type: ignore[index]
    paths = [benchmark.image_path(index) for index in (0, 7)]
    np.testing.assert_allclose(model.embed(paths), expected, atol=1e-5)
    assert model.embed([]).shape == (0, 1280)


def test_features_of_a_file_have_its_origin(benchmark: Benchmark) -> None:
    table = np.arange(len(benchmark.images), dtype=np.float32)[:, None]
    file = FeatureFile(benchmark.images, table, path=Path("clip.npz"), sha256="ab")
    found = features_from_file(file, benchmark)
    np.testing.assert_array_equal(found.of(benchmark.test_unseen)[:, 0], benchmark.test_unseen)
    assert found.of_mirrored(benchmark.trainval) is None
    assert (found.what, found.weights) == ("features from clip.npz", {"source": "clip.npz", "sha256": "ab"})
    assert "it is not known if the network" in found.warnings[0]
