"""Test that the closed form of a run is that of its training images, also after interruptions."""

from __future__ import annotations

import functools
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Transform, decode
from svipctl.inference.load import load_checkpoint
from svipctl.model.closed_form import ClosedForm
from tests.conftest import Command
from tests.training.test_resume import result, signal_at_update
from tests.training.test_trainer import settings_of, trained_here

HYBRID = ("recipe=hybrid", "optim.warmup_epochs=0")
LITE = (
    *("--recipe", "hybrid", "--backbone", "lite", "--weights", "none", "--gpu", "cpu", "--set", "data.workers=0"),
    *("--set", "model.backbone_args={img_size=64,depth=0}", "--epochs", "2", "--batch-size", "12", "--name", "one"),
    *("--set", "train.monitor=test"),
)


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_it_is_fitted_to_the_training_images_and_their_mirror_images(
    shared_folder: Path, tmp_path: Path, augment: str
) -> None:
    trained_here(shared_folder, tmp_path / "run", *HYBRID, f"data.augment={augment}")
    model, benchmark = load_checkpoint(tmp_path / "run/checkpoints/best"), open_folder(shared_folder)
    settings, split = settings_of(shared_folder, *HYBRID), benchmark.split()
    transform = Transform(model.metadata.image_size)
    pixels = torch.stack([transform(decode(benchmark.image_path(index))) for index in split.train])
    views = [pixels] if augment == "none" else [pixels, pixels.flip(3)]
    tokens = torch.cat([model.predict_pixels(view).tokens for view in views])
    rows = np.tile(np.searchsorted(split.seen_classes, benchmark.labels[split.train]), len(views))
    expected = ClosedForm(tokens.shape[1], len(benchmark.attributes), settings.method)
    table = model.network.scorer.table(torch.from_numpy(benchmark.class_attributes[split.seen_classes]))
    expected.fit(tokens, torch.from_numpy(rows), table)
    assert model.network.closed_form is not None
    torch.testing.assert_close(model.network.closed_form.matrix, expected.matrix, rtol=1e-3, atol=1e-5)
    assert expected.matrix.any()


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)])
def test_hybrid_killed_at_a_step_and_resumed_is_bit_identical(
    command: Command, small_folder: Path, tmp_path: Path, step: int
) -> None:
    whole = command("train", str(small_folder), *LITE, "--runs-dir", "whole")
    assert whole.code == 0, whole.stderr
    killed = command("train", str(small_folder), *LITE, first=functools.partial(signal_at_update, step, signal.SIGKILL))
    assert killed.code == -signal.SIGKILL
    resumed = command("train", str(small_folder), *LITE, "--resume", "auto")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / "runs/small/one") == result(tmp_path / "whole/small/one")


@pytest.mark.slow
def test_hybrid_predicts_evaluates_exports_and_starts_another_run(
    command: Command, small_folder: Path, tmp_path: Path
) -> None:
    image = next(iter(sorted((small_folder / "images").rglob("*.png"))))
    name = str(small_folder)
    for arguments in (
        ("train", name, *LITE),
        ("eval", name),
        ("predict", str(image), "--run", "runs/small/one"),
        ("export", name, "--format", "onnx", "-o", "one.onnx"),
        ("train", name, *LITE, "--name", "two", "--init-from", "runs/small/one"),
    ):
        done = command(*arguments)
        assert done.code == 0, done.stderr
