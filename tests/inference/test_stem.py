"""A frozen stem's kept features give what the stem gives on the images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Geometry, Normalisation, Transform, channels_first, decode
from svipctl.inference.dataset_predictions import Predictor
from svipctl.inference.stem import StemRunner
from svipctl.model.backbone import create_backbone, stem_features, stem_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from tests.model.tiny import svip

SIZE = 64
HALF = Normalisation([0.5] * 3, [0.5] * 3)
CPU, FP32 = torch.device("cpu"), torch.float32
PLAIN = Geometry("shorter-side", SIZE)


@pytest.fixture
def data(small_folder: Path) -> Benchmark:
    return open_folder(small_folder)


@pytest.fixture(scope="module")
def model() -> SVIP:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = create_backbone("lite", {"img_size": SIZE, "embed_dim": 16, "depth": 1, "num_heads": 2})
        return SVIP(backbone, 6, Recipe(context="free", keep=3), window=1, hidden=8).eval()


def directly(model: SVIP, data: Benchmark, file: str, transform: Transform, *, mirror: bool) -> torch.Tensor:
    pixels = Geometry(transform.resize, SIZE)(decode(data.root / file))
    pixels = pixels[:, ::-1] if mirror else pixels
    with torch.no_grad():
        return stem_features(model.backbone, HALF(channels_first(pixels)[None]))[0]


@pytest.mark.parametrize("resize", ["shorter-side", "square"])
def test_kept_features_are_those_of_each_image_mirrored_or_not(data: Benchmark, model: SVIP, resize: str) -> None:
    transform = Transform(SIZE, resize, "flip")  # type: ignore[arg-type]
    found = StemRunner(model, HALF, CPU, FP32).prepare(data, transform)
    files = [data.images[index] for index in data.trainval[[5, 0, 9]]]
    mirror = torch.tensor([True, False, True])
    for row, file, is_mirrored in zip(found.gather(files, mirror), files, mirror):
        expected = directly(model, data, file, transform, mirror=bool(is_mirrored))
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)


def test_evaluation_finds_the_features_that_training_kept(data: Benchmark, model: SVIP) -> None:
    runner = StemRunner(model, HALF, CPU, FP32)
    assert runner.find(data, PLAIN) is None
    runner.prepare(data, Transform(SIZE, "square"))
    found = runner.find(data, PLAIN)
    assert found is not None
    assert found.gather(data.images).shape[0] == len(data.images)


def test_predictions_are_the_same_with_kept_features_and_without(data: Benchmark, model: SVIP) -> None:
    tool = Predictor(model, Transform(SIZE), HALF, CPU, FP32, 7)
    indices = np.concatenate([data.test_unseen, data.test_seen])
    computed = tool.predict(data, indices, source_scores=True)
    StemRunner(model, HALF, CPU, FP32).prepare(data, Transform(SIZE))
    calls: list[int] = []
    kept = tool.predict(data, indices, source_scores=True, progress=lambda done, total: calls.append(done))
    assert calls[-1] == len(indices)
    np.testing.assert_allclose(kept.attributes, computed.attributes, atol=1e-5)
    np.testing.assert_allclose(kept.unrelated, computed.unrelated, atol=1e-5)
    np.testing.assert_allclose(kept.source_scores, computed.source_scores, atol=1e-5)


def test_features_are_read_and_not_computed_where_they_are_kept(
    data: Benchmark, model: SVIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    StemRunner(model, HALF, CPU, FP32).prepare(data, Transform(SIZE))

    def computed(*_: object) -> None:
        raise AssertionError("the stem ran")

    monkeypatch.setattr(stem_of(model.backbone), "forward", computed)
    Predictor(model, Transform(SIZE), HALF, CPU, FP32).predict(data, data.test_seen)
    StemRunner(model, HALF, CPU, FP32).prepare(data, Transform(SIZE))


def test_features_are_of_this_stem_these_images_and_this_arithmetic(data: Benchmark, model: SVIP) -> None:
    StemRunner(model, HALF, CPU, FP32).prepare(data, Transform(SIZE))
    other = SVIP(create_backbone("lite", {"img_size": SIZE, "embed_dim": 16}), 6, Recipe(context="free"), window=1)
    assert StemRunner(other, HALF, CPU, FP32).find(data, PLAIN) is None
    assert StemRunner(model, HALF, CPU, torch.bfloat16).find(data, PLAIN) is None
    assert StemRunner(model, Normalisation([0.4] * 3, [0.5] * 3), CPU, FP32).find(data, PLAIN) is None
    assert StemRunner(model, HALF, CPU, FP32).find(data, Geometry("square", SIZE)) is None
    assert StemRunner(model, HALF, CPU, FP32).find(data, PLAIN) is not None
    changed = data.root / data.images[0]
    changed.write_bytes((data.root / data.images[1]).read_bytes())
    os.utime(changed, (1, 1))
    assert StemRunner(model, HALF, CPU, FP32).find(data, PLAIN) is None


def test_a_plain_vision_transformer_has_no_features(data: Benchmark) -> None:
    (data.root / "features").mkdir()
    assert StemRunner(svip(), HALF, CPU, FP32).find(data, Geometry("shorter-side", 32)) is None
