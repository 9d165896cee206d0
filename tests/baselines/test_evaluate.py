"""A baseline as a run on the tiny data folder: chosen on validation, fitted once, and refused where it saw test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from svipctl.baselines.choices import METHODS
from svipctl.baselines.develop import develop
from svipctl.baselines.evaluate import Baseline, fit_and_score
from svipctl.baselines.image_features import ImageFeatures, image_features
from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.registry import open_benchmark
from svipctl.errors import ConfigError, DataError
from svipctl.model.backbone import embed_patches, encode
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
    setup = features.setup
    pixels = setup.transform.for_evaluation
    from svipctl.datasets.images import decode

    image = pixels(decode(benchmark.image_path(3)))[None]
    tokens, _ = encode(setup.model.backbone, embed_patches(setup.model.backbone, setup.normalise(image)))
    np.testing.assert_allclose(features.of(np.array([3]))[0], tokens[0].mean(dim=0).detach().numpy(), atol=1e-6)


def test_features_are_computed_once(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    before = features.of(benchmark.trainval)
    monkeypatch.setattr("svipctl.baselines.image_features._mean_patch", refuse)
    again = image_features(settings_of(small_folder, tmp_path / "runs"), benchmark)
    np.testing.assert_array_equal(again.of(benchmark.trainval), before)


@pytest.mark.parametrize("method", METHODS)
def test_development_never_looks_at_a_test_image(method: str, features: ImageFeatures, benchmark: Benchmark) -> None:
    test = np.concatenate([benchmark.test_seen, benchmark.test_unseen])
    poisoned = Poisoned(features, test)
    developed = develop(method, poisoned, benchmark, [1, 2])  # type: ignore[arg-type]
    assert [fold.fold for fold in developed.folds] == [1, 2]
    assert developed.gamma == pytest.approx(np.median([fold.gamma for fold in developed.folds]))


def test_the_choice_is_the_best_of_all_on_validation(features: ImageFeatures, benchmark: Benchmark) -> None:
    from svipctl.baselines import develop as module

    developed = develop("ridge", features, benchmark, [1, 2])
    folds = [dict(module._on_fold("ridge", features, benchmark, fold)) for fold in (1, 2)]
    means = {choice: np.mean([fold[choice].harmonic for fold in folds]) for choice in folds[0]}
    assert developed.tried == len(means)
    assert means[developed.choice] == max(means.values())


def test_a_run_is_whole_and_touches_what_it_says(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures
) -> None:
    settings = settings_of(small_folder, tmp_path / "runs")
    run = Run(tmp_path / "runs" / "small" / "base")
    document, evaluation = fit_and_score(Baseline("ridge", (1,)), settings, benchmark, features, run)
    assert json.loads((run.folder / "eval" / "metrics.json").read_text()) == document
    assert run.settings() == settings
    assert run.training_images() == {benchmark.images[index] for index in benchmark.trainval}
    split = benchmark.split(1)
    assert run.validation_images() == {benchmark.images[index] for index in [*split.seen, *split.unseen]}
    development = run.development()
    assert development is not None
    assert document["protocols"]["gzsl-calibrated"]["gamma"] == development["gamma"]
    assert evaluation.images == {"seen": len(benchmark.test_seen), "unseen": len(benchmark.test_unseen)}
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
    monkeypatch.setattr("svipctl.baselines.evaluate._validation_images", lambda *_: [stray])
    with pytest.raises(DataError, match="gamma of base was chosen on 1 of the"):
        fit_and_score(Baseline("ridge", (1,)), settings, benchmark, features, run)
    assert not (run.folder / "eval").exists()


def test_a_fold_that_is_not_there_is_refused(features: ImageFeatures, benchmark: Benchmark) -> None:
    with pytest.raises(ConfigError, match="has no fold 4"):
        develop("ridge", features, benchmark, [4])
