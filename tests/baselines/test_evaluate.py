"""Test a baseline as a run on the tiny data folder: chosen on validation, fitted once, refused after test images."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from svipctl.baselines.choices import METHODS, Choice, Method, every_choice
from svipctl.baselines.develop import develop
from svipctl.baselines.evaluate import fit_and_score
from svipctl.baselines.fit import fit_choice, training_images
from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.feature_file import read_feature_file
from svipctl.datasets.registry import open_benchmark
from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.calibration import seen_unseen_curve
from svipctl.inference.image_features import ImageFeatures, embed_dataset, features_from_file, image_features
from svipctl.inference.load import backbone_model
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
    """Features that raise if those of some images are requested."""

    def __init__(self, features: ImageFeatures, forbidden: Indices) -> None:
        self.features, self.forbidden = features, forbidden

    def of(self, indices: Indices) -> np.ndarray:
        assert not np.isin(indices, self.forbidden).any()
        return self.features.of(indices)

    def of_mirrored(self, indices: Indices) -> np.ndarray:
        assert not np.isin(indices, self.forbidden).any()
        return self.features.of_mirrored(indices)


def test_a_map_is_trained_on_images_and_their_mirror_images(features: ImageFeatures, benchmark: Benchmark) -> None:
    split = benchmark.split(1)
    found, rows = training_images(features, benchmark, split)
    count = len(split.train)
    np.testing.assert_array_equal(found[:count], features.of(split.train))
    np.testing.assert_array_equal(found[count:], features.of_mirrored(split.train))
    np.testing.assert_array_equal(split.seen_classes[rows], np.tile(benchmark.labels[split.train], 2))


@pytest.mark.parametrize(
    "method", [pytest.param(one, marks=pytest.mark.slow) if one in ("eszsl", "sae") else one for one in METHODS]
)
def test_development_never_uses_a_test_image(method: str, features: ImageFeatures, benchmark: Benchmark) -> None:
    test = np.concatenate([benchmark.test_seen, benchmark.test_unseen])
    poisoned = Poisoned(features, test)
    developed = develop(method, poisoned, benchmark, [1, 2])  # type: ignore[arg-type]
    assert [fold.fold for fold in developed.folds] == [1, 2]
    alone = develop(method, poisoned, benchmark, [1])  # type: ignore[arg-type]
    assert alone.gamma == pytest.approx(alone.folds[0].gamma)


@pytest.mark.parametrize("method", ["ridge", "prototypes"])
def test_the_chosen_setting_is_the_best_of_all_on_validation(
    method: Method, features: ImageFeatures, benchmark: Benchmark
) -> None:
    def harmonics(choice: Choice) -> list[float]:
        """Return the best H on each fold, percent, of a map fitted for this choice alone."""
        found = []
        for split in (benchmark.split(1), benchmark.split(2)):
            scored = fit_choice(method, choice, features, benchmark, split)
            found.append(100 * float(seen_unseen_curve(scored.answers()).harmonic.max()))
        return found

    every = [Choice(*choice) for choice in product(*every_choice(method))]
    developed = develop(method, features, benchmark, [1, 2])
    assert developed.tried == len(every)
    best = [fold.harmonic for fold in developed.folds]
    assert harmonics(developed.choice) == pytest.approx(best)
    others = random.Random(0).sample(every, 20)
    assert max(sum(harmonics(choice)) for choice in others) <= sum(best) + 1e-6


def test_a_run_is_complete_and_records_the_images_it_used(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures
) -> None:
    settings = settings_of(small_folder, tmp_path / "runs")
    run = Run(tmp_path / "runs" / "small" / "base")
    evaluation = fit_and_score("ridge", (1,), settings, benchmark, features, run)
    document = evaluation.document
    assert json.loads((run.folder / "eval" / "metrics.json").read_text()) == document
    assert run.settings() == settings
    assert run.training_images() == {benchmark.images[index] for index in benchmark.trainval}
    split = benchmark.split(1)
    assert run.validation_images() == {benchmark.images[index] for index in [*split.seen, *split.unseen]}
    development = run.development()
    assert development is not None
    assert document["protocols"]["gzsl-calibrated"]["gamma"] == development.gamma
    assert evaluation.results.images == {"seen": len(benchmark.test_seen), "unseen": len(benchmark.test_unseen)}
    assert not run.finished  # so that no command takes it for a network to evaluate or to predict with
    assert any("random weights" in warning for warning in document["warnings"])


def test_a_baseline_that_saw_a_test_image_is_refused(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = settings_of(small_folder, tmp_path / "runs"), Run(tmp_path / "runs" / "small" / "base")
    trained = run.training_images
    stray = benchmark.images[int(benchmark.test_seen[0])]
    monkeypatch.setattr(Run, "training_images", lambda self: trained() | {stray})
    with pytest.raises(DataError, match="was trained on 1 of the"):
        fit_and_score("ridge", (1,), settings, benchmark, features, run)
    assert not (run.folder / "eval").exists()


def test_a_gamma_chosen_on_a_test_image_is_refused(
    small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = settings_of(small_folder, tmp_path / "runs"), Run(tmp_path / "runs" / "small" / "base")
    stray = benchmark.images[int(benchmark.test_unseen[0])]
    validated = Run.validation_images
    monkeypatch.setattr(Run, "validation_images", lambda self: validated(self) | {stray})
    with pytest.raises(DataError, match="gamma of base was chosen on 1 of the"):
        fit_and_score("ridge", (1,), settings, benchmark, features, run)
    assert not (run.folder / "eval").exists()


@pytest.mark.parametrize("form", ["ours", "published"])
def test_features_of_a_file_give_exactly_the_figures_of_the_images(
    form: str, small_folder: Path, tmp_path: Path, benchmark: Benchmark, features: ImageFeatures
) -> None:
    settings = settings_of(small_folder, tmp_path / "runs")
    if form == "ours":
        path, on_images = tmp_path / "small.npz", features
        embed_dataset(backbone_model(settings), benchmark).save(path)
    else:
        path, on_images = tmp_path / "res101.mat", replace(features, mirrored=None)
        names = np.array([[f"/BS/work/data/small/{image}"] for image in benchmark.images[::-1]], dtype=object)
        labels, table = benchmark.labels[::-1, None] + 1.0, features.plain[::-1].T.astype(np.float64)
        savemat(path, {"image_files": names, "labels": labels, "features": table})
    shutil.rmtree(small_folder / "images")  # the images are not read
    file = read_feature_file(path)
    bare = open_benchmark(str(small_folder), Path("data"), listed=file.images)
    methods: tuple[Method, ...] = ("ridge", "prototypes")
    for method in methods:
        runs = [Run(tmp_path / "runs" / "small" / f"{method}-{which}") for which in ("images", "file")]
        expected = fit_and_score(method, (1,), settings, benchmark, on_images, runs[0]).document
        found = fit_and_score(method, (1,), settings, bare, features_from_file(file, bare), runs[1]).document
        for key in ("protocols", "intervals", "per_image", "classes", "images"):
            assert found[key] == expected[key]
        assert found["development"]["choice"] == expected["development"]["choice"]
        assert path.name in found["baseline"]["features"]
        assert runs[1].environment()["weights"] == {"source": path.name, "sha256": file.sha256}
    fitted = "images and their mirror images" if form == "ours" else "images"
    assert found["baseline"]["features"].endswith(f"fitted to {fitted}")


def test_a_missing_fold_is_refused(features: ImageFeatures, benchmark: Benchmark) -> None:
    with pytest.raises(ConfigError, match="has no fold 4"):
        develop("ridge", features, benchmark, [4])
