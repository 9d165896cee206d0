"""Test training over a frozen stem: from the command line to a self-contained checkpoint."""

from __future__ import annotations

import functools
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from svipctl.inference.load import load_checkpoint
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from svipctl.settings.schema import OptimSettings
from svipctl.training.optimisation import Optimisation
from tests.conftest import Command
from tests.model.test_lite import SMALL
from tests.processes import files_under
from tests.training.test_resume import result, signal_at_update

pytestmark = pytest.mark.slow

STEM = "backbone.patch_embed.backbone."
NETWORK = "model.backbone_args={img_size=64,embed_dim=16,depth=1,num_heads=2,proj_drop_rate=0.2}"
LITE = (
    *("--backbone", "lite", "--weights", "none", "--set", NETWORK, "--gpu", "cpu", "--set", "data.workers=0"),
    *("--epochs", "2", "--batch-size", "12", "--name", "one"),
)


def weights(run: Path, which: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / which / "model.safetensors")


def stem_of_seed(seed: int) -> dict[str, torch.Tensor]:
    from svipctl.model.backbone import create_backbone

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = create_backbone("lite", SMALL | {"proj_drop_rate": 0.2})
    return {f"backbone.{name}": value for name, value in backbone.state_dict().items()}


@pytest.mark.parametrize("recipe", ["svipctl", "reference"])
def test_a_frozen_stem_is_unchanged_and_its_features_are_reused(
    command: Command, small_folder: Path, tmp_path: Path, recipe: str
) -> None:
    more = ("--recipe", recipe, "--set", "method.context=free", "--set", "train.drop_last=false")
    done = command("train", str(small_folder), *LITE, *more)
    assert done.code == 0, done.stderr
    assert "computing the stem's features" in done.stderr
    assert "the frozen stem has random weights" in done.stderr
    run = tmp_path / "runs/small/one"
    saved, before = weights(run), stem_of_seed(0)
    stem = [name for name in before if name.startswith(STEM)]
    assert stem
    assert all(torch.equal(saved[name], before[name]) for name in stem)
    assert not torch.equal(saved["backbone.blocks.0.attn.qkv.weight"], before["backbone.blocks.0.attn.qkv.weight"])
    kept = files_under(small_folder / "features")
    assert len(kept) == 6, "rows, checksums and index, plain and mirrored"

    evaluated = command("eval", str(small_folder), "--json", "--gpu", "cpu", "--precision", "fp32")
    assert evaluated.code == 0, evaluated.stderr
    assert files_under(small_folder / "features") == kept
    shutil.rmtree(small_folder / "features")
    computed = command("eval", str(small_folder), "--json", "--gpu", "cpu", "--precision", "fp32")
    if recipe == "reference":  # fp32 in both
        assert computed.document["protocols"]["zsl"] == evaluated.document["protocols"]["zsl"]
    assert not (small_folder / "features").exists()


def test_cached_features_change_no_result(command: Command, small_folder: Path, tmp_path: Path) -> None:
    found = []
    for name, keep in (("kept", "true"), ("computed", "false")):
        fp32 = ("--precision", "fp32", "--set", "optim.clip_norm=1e9", "--name", name)
        done = command("train", str(small_folder), *LITE, *fp32, "--set", f"data.keep_features={keep}")
        assert done.code == 0, done.stderr
        lines = (tmp_path / "runs/small" / name / "metrics.jsonl").read_text().splitlines()
        found.append([json.loads(line)["loss"] for line in lines])
        assert (small_folder / "features").exists()
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize("gone", [False, True])
def test_interrupted_and_resumed_is_bit_identical(
    command: Command, small_folder: Path, tmp_path: Path, gone: bool
) -> None:
    arguments = ("train", str(small_folder), *LITE)
    assert command(*arguments).code == 0
    whole = result(tmp_path / "runs/small/one")
    shutil.rmtree(tmp_path / "runs")
    stopped = command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    assert stopped.code == 75, stopped.stderr
    if gone:
        shutil.rmtree(small_folder / "features")
    resumed = command(*arguments, "--resume", "auto")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / "runs/small/one") == whole


def test_a_stem_is_trained_on_request(command: Command, small_folder: Path, tmp_path: Path) -> None:
    done = command("train", str(small_folder), *LITE, "--set", "model.stem=train", "--epochs", "1")
    assert done.code == 0, done.stderr
    assert not (small_folder / "features").exists()
    saved, before = weights(tmp_path / "runs/small/one"), stem_of_seed(0)
    assert not torch.equal(saved[f"{STEM}conv_stem.weight"], before[f"{STEM}conv_stem.weight"])
    assert torch.equal(saved[f"{STEM}bn1.running_mean"], before[f"{STEM}bn1.running_mean"])
    model = load_checkpoint(tmp_path / "runs/small/one/checkpoints/best")
    assert model.metadata.backbone == "lite"
    with torch.no_grad():
        assert torch.isfinite(model.network(torch.zeros(1, 3, 64, 64))).all()


def test_random_crops_of_a_frozen_stem_are_not_cached(command: Command, small_folder: Path) -> None:
    done = command("train", str(small_folder), *LITE, "--set", "data.augment=crop-and-flip", "--epochs", "1")
    assert done.code == 0, done.stderr
    assert not (small_folder / "features").exists()


def test_the_plan_reports_the_size_of_cached_features(command: Command, shared_folder: Path) -> None:
    more = ("--set", "model.backbone_args={img_size=448}", "--precision", "fp32", "--dry-run", "--json")
    plan = command("train", str(shared_folder), *LITE, *more)
    assert plan.code == 0, plan.stderr
    # 56 images and 36 mirrored training images, 14 x 14 patches of 1,280 numbers of 4 bytes
    assert plan.document["features_mib"] == round((56 + 36) * 14 * 14 * 1280 * 4 / 2**20)
    assert command("train", str(shared_folder), *LITE, *more, "--set", "model.stem=train").document["features_mib"] == 0


def test_freezing_the_stem_of_a_plain_backbone_is_an_error(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    done = command("train", str(shared_folder), *tiny, "--set", "model.stem=frozen")
    assert done.code == 2
    assert "no convolutional stem" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_stem_has_its_share_of_the_learning_rate() -> None:
    from svipctl.model.backbone import create_backbone

    def rates(model: SVIP) -> dict[int, float]:
        optimisation = Optimisation(model, settings, epochs=1, steps_per_epoch=1)
        optimisation.apply(0, 0)
        return {id(value): group["lr"] for group in optimisation.optimizer.param_groups for value in group["params"]}

    settings: Any = OptimSettings(lr=0.5, schedule="constant", stem_lr_share=0.1)
    model = SVIP(create_backbone("lite", SMALL), 5, Recipe(context="free"), window=1, hidden=8)
    found = rates(model)
    for name, value in model.named_parameters():
        assert found[id(value)] == pytest.approx(0.05 if name.startswith(STEM) else 0.5)
    model.freeze_stem()
    assert set(rates(model)) == {id(value) for name, value in model.named_parameters() if not name.startswith(STEM)}
