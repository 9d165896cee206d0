"""Test training on features of a file: the heads learn the same as on a frozen stem, resume, and score."""

from __future__ import annotations

import functools
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import svipctl
from svipctl.datasets.feature_file import FeatureFile, read_feature_file
from svipctl.datasets.registry import open_benchmark
from svipctl.errors import ConfigError, DataError
from svipctl.inference.image_features import embed_dataset
from svipctl.inference.load import backbone_model, load
from svipctl.inference.stem_features import with_features
from svipctl.runs.run import Run
from svipctl.settings.command_line import differences_from_presets, train_command
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from svipctl.training.setup import prepare
from svipctl.training.trainer import Trainer
from tests.conftest import Command
from tests.runs.made import rewrite_configuration
from tests.training.test_resume import result, signal_at_update
from tests.training.test_trainer import Listener

LITE = "model.backbone_args={img_size=32,depth=0}"  # a feature map of one position
COMMON = ("data.workers=0", "train.epochs=3", "train.batch_size=8", "eval.bootstrap=0")


def settings_of(folder: Path, *assignments: str, **flags: object) -> Settings:
    given = {"gpu": "cpu", "precision": "fp32", "recipe": "hybrid"} | flags
    return resolve(str(folder), flags=given, assignments=[*COMMON, *assignments]).settings


def on_lite(folder: Path) -> Settings:
    return settings_of(folder, LITE, **{"model.backbone": "lite", "model.weights": "none"})


@pytest.fixture
def file(small_folder: Path, tmp_path: Path) -> Path:
    """Return the features of `lite` with random weights."""
    path = tmp_path / "small.npz"
    embed_dataset(backbone_model(on_lite(small_folder)), open_benchmark(str(small_folder), Path("data"))).save(path)
    return path


def test_the_heads_learn_the_same_as_on_a_frozen_stem_with_the_same_features(
    small_folder: Path, file: Path, tmp_path: Path
) -> None:
    benchmark = open_benchmark(str(small_folder), Path("data"))
    on_images, on_file = on_lite(small_folder), settings_of(small_folder, **{"data.features": str(file)})
    setups = [prepare(on_images, benchmark), prepare(on_file, benchmark, file=read_feature_file(file))]
    networks = [setup.model.network for setup in setups]
    heads = {
        name: value.clone() for name, value in networks[0].state_dict().items() if not name.startswith("backbone.")
    }
    assert networks[1].state_dict().keys() == heads.keys()
    networks[1].load_state_dict(heads)
    for settings, setup, name in zip((on_images, on_file), setups, ("images", "file")):
        run = Run(tmp_path / "runs" / name)
        with run.written_to(is_new=True) as written:
            written.start(settings, {}, [])
            Trainer(settings, setup, written, Listener()).train()
    learned = [network.state_dict() for network in networks]
    for name in heads:
        torch.testing.assert_close(learned[1][name], learned[0][name], atol=1e-5, rtol=1e-4)
    assert any(not torch.equal(learned[1][name], before) for name, before in heads.items() if "attribute_head" in name)


def test_a_run_needs_no_images_and_scores_with_its_file(
    command: Command, small_folder: Path, file: Path, tmp_path: Path
) -> None:
    shutil.rmtree(small_folder / "images")
    flags = ("--gpu", "cpu", "--features", "small.npz", "--epochs", "2", "--name", "one")
    plan = command("train", str(small_folder), *flags, "--dry-run", "--json")
    assert plan.code == 0, plan.stderr
    assert (plan.document["training_images"], plan.document["features_mib"]) == (36, 0)
    done = command("train", str(small_folder), *flags, "--json")
    assert done.code == 0, done.stderr
    found = command("eval", str(small_folder), "--gpu", "cpu", "--json")
    assert found.code == 0, found.stderr
    model = load(tmp_path / "runs/small/one", device="cpu")
    assert model.metadata.backbone_weights == {"source": "small.npz", "sha256": read_feature_file(file).sha256}
    assert model.metadata.backbone_args == {"embed_dim": 1280}
    (tmp_path / "elsewhere").mkdir()
    file.rename(tmp_path / "elsewhere" / "moved.npz")
    moved = command("eval", str(small_folder), "--gpu", "cpu", "--json", "--features", "elsewhere/moved.npz")
    assert moved.document["protocols"] == found.document["protocols"]
    assert "trained on the features" not in moved.stderr
    gone = command("eval", str(small_folder), "--gpu", "cpu", "--dry-run")
    assert gone.code == 3
    assert "there is no feature file small.npz" in gone.stderr
    images = command("predict", str(tmp_path), "--run", "one", "--gpu", "cpu", "--classes", "none.csv")
    assert images.code != 0


def test_interrupted_and_resumed_is_bit_identical_and_other_features_are_refused(
    command: Command, small_folder: Path, file: Path, tmp_path: Path
) -> None:
    flags = ("--gpu", "cpu", "--features", "small.npz", "--epochs", "3", "--batch-size", "8", "--name", "one")
    assert command("train", str(small_folder), *flags).code == 0
    whole = result(tmp_path / "runs/small/one")
    shutil.rmtree(tmp_path / "runs")
    stopped = command("train", str(small_folder), *flags, first=functools.partial(signal_at_update, 6, signal.SIGTERM))
    assert stopped.code == 75, stopped.stderr
    kept = file.read_bytes()
    changed = read_feature_file(file)
    replace(changed, features=changed.features + 1).save(file)
    refused = command("train", str(small_folder), "--gpu", "cpu", "--resume", "one")
    assert refused.code == 3
    assert "are not those that the run was started with" in refused.stderr
    file.write_bytes(kept)
    assert command("train", str(small_folder), "--gpu", "cpu", "--resume", "one").code == 0
    assert result(tmp_path / "runs/small/one") == whole


def test_folds_and_the_final_run_use_the_same_file(command: Command, small_folder: Path, file: Path) -> None:
    done = command(
        "train", str(small_folder), "--gpu", "cpu", "--features", "small.npz", "--epochs", "2", "--calibrate"
    )
    assert done.code == 0, done.stderr
    found = command("eval", str(small_folder), "--gpu", "cpu", "--json")
    assert found.code == 0, found.stderr
    assert "gzsl-calibrated" in found.document["protocols"]


def test_a_development_run_may_have_settings_that_features_now_replace(
    command: Command, small_folder: Path, file: Path, tmp_path: Path
) -> None:
    flags = ("train", str(small_folder), "--gpu", "cpu", "--features", "small.npz")
    assert command(*flags, "--epochs", "1", "--fold", "1", "--name", "fold1").code == 0
    run = tmp_path / "runs" / "small" / "fold1"
    before = (run / "config.toml").read_text()
    rewrite_configuration(run, before.replace('normalise = "weights"', 'normalise = "half"'))
    assert (run / "config.toml").read_text() != before
    done = command(*flags, "--final", "--from-development", "fold1")
    assert done.code == 0, done.stderr


def test_the_api_trains_and_evaluates_on_features_of_a_file(small_folder: Path, file: Path, tmp_path: Path) -> None:
    table = read_feature_file(file)
    path = tmp_path / "mine.npz"
    np.savez(path, images=np.array(table.images), features=table.features)
    settings = {"data.features": str(path), "train.epochs": 1, "eval.bootstrap": 0}
    run = svipctl.train(small_folder, settings=settings, runs_dir=tmp_path / "runs", device="cpu")
    model = run.load(device="cpu")
    evaluation = svipctl.evaluate(model, bootstrap=0)
    assert {"zsl", "gzsl"} <= set(evaluation.rows)
    assert any("the training images of" in warning for warning in evaluation.document["warnings"])
    with pytest.raises(ConfigError, match="takes precomputed features, not images"):
        model.predict(small_folder / "images" / "seen_a" / "0.png")
    benchmark = open_benchmark(str(small_folder), Path("data"))
    narrow = FeatureFile(table.images, table.features[:, :7], path=Path("narrow.npz"))
    with pytest.raises(DataError, match=r"narrow\.npz has 7 features per image, but this model takes 1280"):
        with_features(model, benchmark, narrow)
    other = with_features(
        model, benchmark, FeatureFile(table.images, table.features, path=Path("other.npz"), sha256="0")
    )
    assert other.notes == (f"the network was trained on the features of {path}, not on those of other.npz",)


def test_unusable_features_are_refused(command: Command, small_folder: Path, file: Path, tmp_path: Path) -> None:
    of_run = read_feature_file(file)
    replace(of_run, about=of_run.about | {"run": "first"}).save(tmp_path / "run.npz")
    for flags, said in (
        (("--features", "gone.npz"), "there is no feature file gone.npz"),
        (("--features", "run.npz"), "has features of a trained network"),
        (("--features", "small.npz", "--backbone", "lite"), "model.backbone (flag): the features of data.features"),
        (("--features", "small.npz", "--set", "data.augment=crop-and-flip"), "random crops are not possible"),
        (
            ("--features", "small.npz", "--recipe", "svipctl", "--set", "method.context=free"),
            "no attention for the patch selection",
        ),
    ):
        done = command("train", str(small_folder), "--gpu", "cpu", *flags)
        assert done.code in (2, 3), done.stderr
        assert said in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_command_line_of_a_run_gives_its_settings(small_folder: Path, file: Path) -> None:
    settings = settings_of(small_folder, **{"data.features": str(file)})
    assert f"--features {file}" in train_command(settings)
    assert resolve(str(small_folder), flags=differences_from_presets(settings)).settings == settings
