"""Test a feature file of a data set, or of any images, and its metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import read_feature_file
from svipctl.datasets.registry import open_benchmark
from svipctl.errors import CheckFailed, DataError
from svipctl.inference.image_features import dataset_features, embed_dataset, embed_images
from svipctl.inference.load import load
from svipctl.inference.trained_model import TrainedModel


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_data_set_is_written_with_labels_classes_and_split(
    ending: str, model: TrainedModel, benchmark: Benchmark, tmp_path: Path
) -> None:
    path = tmp_path / f"small{ending}"
    embed_dataset(model, benchmark).save(path)
    file, expected = read_feature_file(path), dataset_features(model, benchmark)
    assert (file.images, file.classes) == (benchmark.images, benchmark.classes)
    np.testing.assert_array_equal(file.features, expected.plain)
    np.testing.assert_array_equal(file.mirrored, expected.mirrored)
    np.testing.assert_array_equal(file.labels, benchmark.labels)
    for part in ("trainval", "test_seen", "test_unseen"):
        np.testing.assert_array_equal(file.parts[part], getattr(benchmark, part))
    assert file.about["dataset"] == "small"
    assert file.about["features"] == "mean patch token of the backbone"
    assert file.about["backbone_args"]["embed_dim"] == 16
    assert file.about["transform"] == {"image_size": 32, "resize": "shorter-side", "mean": [0.5] * 3, "std": [0.5] * 3}
    assert (file.about["weights"], file.about["run"]) == ({"source": "none", "sha256": ""}, None)


def test_images_are_written_under_their_names(model: TrainedModel, benchmark: Benchmark) -> None:
    paths = [benchmark.image_path(index) for index in (4, 0)]
    calls: list[tuple[int, int]] = []
    file = embed_images(model, paths, lambda *done: calls.append(done))
    assert file.images == tuple(map(str, paths))
    np.testing.assert_array_equal(file.features, model.embed(paths))
    assert calls == [(2, 2)]
    assert (file.labels, file.mirrored) == (None, None)


def test_an_undecodable_image_is_named(model: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"bad\.png"):
        embed_images(model, [tmp_path / "bad.png"])


def test_features_that_are_not_finite_are_an_error(model: TrainedModel, benchmark: Benchmark) -> None:
    with torch.no_grad():
        model.network.backbone.norm.bias[0] = torch.inf
    with pytest.raises(CheckFailed, match="features that are not finite"):
        embed_dataset(model, benchmark)


def test_a_run_gives_the_features_of_its_own_backbone(trained: Path, shared_folder: Path) -> None:
    model = load(trained, device="cpu")
    benchmark = open_benchmark(str(shared_folder), Path("data"))
    image = benchmark.image_path(0)
    file = embed_images(model, [image])
    np.testing.assert_array_equal(file.features, model.embed(image))
    assert file.about["run"] == "first"
    assert file.about["weights"] == {"source": "run first", "sha256": model.metadata.sha256}
