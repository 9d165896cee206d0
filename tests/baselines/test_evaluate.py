"""A baseline as a run on the tiny data folder: chosen on validation, fitted once, and refused if it saw test images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from svipctl.baselines.choices import METHODS, Choice, candidates
from svipctl.baselines.develop import develop, scored_by
from svipctl.baselines.evaluate import Baseline, fit_and_score
from svipctl.baselines.image_features import ImageFeatures, image_features
from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import decode
from svipctl.datasets.registry import open_benchmark
from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.calibration import seen_unseen_curve
from svipctl.model.backbone import embed_patches, encode
from svipctl.model.scores import ClassScore
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from tests.conftest import NETWORK


def settings_of(folder: Path, runs: Path) -> Settings:
    flags = {"model.backbone": "vit_tiny_patch16_224", "model.weights": "none", "gpu": "cpu", "runs_dir": str(runs)}
    sets = [NETWORK, "data.workers=0", "precision=fp32"]
    return resolve(str(folder), flags={**flags, "name": "base"}, assignments=sets).settings


@pytest.fixture
def benchmark(small_folder: Path) -> Benchmark:
    return open_benchmark(str(small_folder), Path("data"))


@pytest.fixture
def features(small_folder: Path, tmp_path: Path, benchmark: Benchmark) -> ImageFeatures:
    return image_features(settings_of(small_folder, tmp_path / "runs"), benchmark)


class Poisoned:
    """Features that cannot be asked for of some images."""

    def __init__(self, features: ImageFeatures, forbidden: Indices) -> None:
        self.features, self.forbidden = features, forbidden

    def of(self, indices: Indices) -> np.ndarray:
        assert not np.isin(indices, self.forbidden).any()
        return self.features.of(indices)


def test_features_are_the_mean_patch_token_of_the_backbone(features: ImageFeatures, benchmark: Benchmark) -> None:
    model = features.model
    backbone = model.network.backbone
    image = model.transform(decode(benchmark.image_path(3)))[None]
    tokens, _ = encode(backbone, embed_patches(backbone, model.inputs(image)))
    np.testing.assert_allclose(features.of(np.array([3]))[0], tokens[0].mean(dim=0).detach().numpy(), atol=1e-6)


def test_features_are_computed_once(small_folder: Path, tmp_path: Path, benchmark: Benchmark) -> None:
    settings = settings_of(small_folder, tmp_path / "runs")
    computed: list[tuple[int, int]] = []
    first = image_features(settings, benchmark, lambda *done: computed.append(done))
    assert computed[-1] == (len(benchmark.images),) * 2
    computed.clear()
    again = image_features(settings, benchmark, lambda *done: computed.append(done))
    assert computed == [], "the second call reads what the first one has kept"
    np.testing.assert_array_equal(again.of(benchmark.trainval), first.of(benchmark.trainval))


@pytest.mark.parametrize("method", METHODS)
def test_development_never_looks_at_a_test_image(method: str, features: ImageFeatures, benchmark: Benchmark) -> None:
    test = np.concatenate([benchmark.test_seen, benchmark.test_unseen])
    poisoned = Poisoned(features, test)
    developed = develop(method, poisoned, benchmark, [1, 2])  # type: ignore[arg-type]
    assert [fold.fold for fold in developed.folds] == [1, 2]
    assert developed.gamma == pytest.approx(np.median([fold.gamma for fold in developed.folds]))


def test_the_choice_is_the_best_of_all_on_validation(features: ImageFeatures, benchmark: Benchmark) -> None:
    reached: dict[Choice, list[float]] = {}
    for split in (benchmark.split(1), benchmark.split(2)):
        validated = np.concatenate([split.seen, split.unseen])
        rows = np.searchsorted(split.seen_classes, benchmark.labels[split.train])
        table = benchmark.class_attributes[split.seen_classes]
        for *chosen, prepared, mapping in candidates("ridge", features.of(split.train), rows, table):
            predicted = prepared(features.of(validated)) @ mapping
            for kind in get_args(ClassScore):
                choice = Choice(*chosen, kind)
                curve = seen_unseen_curve(scored_by(benchmark, split, predicted, choice, validated).answers())
                reached.setdefault(choice, []).append(100 * float(curve.harmonic.max()))
    developed = develop("ridge", features, benchmark, [1, 2])
    assert developed.tried == len(reached)
    assert [fold.harmonic for fold in developed.folds] == reached[developed.choice]
    assert sum(reached[developed.choice]) == max(map(sum, reached.values()))


def test_a_run_is_whole_and_touches_what_it_says(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures
) -> None:
    settings = settings_of(small_folder, tmp_path / "runs")
    run = Run(tmp_path / "runs" / "small" / "base")
    evaluation = fit_and_score(Baseline("ridge", (1,)), settings, benchmark, features, run)
    document = evaluation.document
    assert json.loads((run.folder / "eval" / "metrics.json").read_text()) == document
    assert run.settings() == settings
    assert run.training_images() == {benchmark.images[index] for index in benchmark.trainval}
    split = benchmark.split(1)
    assert run.validation_images() == {benchmark.images[index] for index in [*split.seen, *split.unseen]}
    development = run.development()
    assert development is not None
    assert document["protocols"]["gzsl-calibrated"]["gamma"] == development["gamma"]
    assert evaluation.results.images == {"seen": len(benchmark.test_seen), "unseen": len(benchmark.test_unseen)}
    assert not run.finished  # so that nobody takes it for a network to evaluate or to predict with
    assert any("random weights" in warning for warning in document["warnings"])


def test_a_baseline_that_saw_a_test_image_is_refused(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = settings_of(small_folder, tmp_path / "runs"), Run(tmp_path / "runs" / "small" / "base")
    trained = run.training_images
    stray = benchmark.images[int(benchmark.test_seen[0])]
    monkeypatch.setattr(Run, "training_images", lambda self: trained() | {stray})
    with pytest.raises(DataError, match="was trained on 1 of the"):
        fit_and_score(Baseline("ridge", (1,)), settings, benchmark, features, run)
    assert not (run.folder / "eval").exists()


def test_a_gamma_chosen_on_a_test_image_is_refused(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = settings_of(small_folder, tmp_path / "runs"), Run(tmp_path / "runs" / "small" / "base")
    stray = benchmark.images[int(benchmark.test_unseen[0])]
    validated = Run.validation_images
    monkeypatch.setattr(Run, "validation_images", lambda self: validated(self) | {stray})
    with pytest.raises(DataError, match="gamma of base was chosen on 1 of the"):
        fit_and_score(Baseline("ridge", (1,)), settings, benchmark, features, run)
    assert not (run.folder / "eval").exists()


def test_a_fold_that_is_not_there_is_refused(features: ImageFeatures, benchmark: Benchmark) -> None:
    with pytest.raises(ConfigError, match="has no fold 4"):
        develop("ridge", features, benchmark, [4])
