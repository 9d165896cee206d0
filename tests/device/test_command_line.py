"""Test the command line on a second device: training stopped and resumed, evaluation, prediction, figures, export."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.device import simulated
from tests.device.simulated import NAME, install

pytestmark = pytest.mark.skipif(not simulated.AVAILABLE, reason=simulated.UNAVAILABLE)
RUN = Path("runs/small")
STOP_AT = 12  # of 2 x 9 steps


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("recipe", ["svipctl", pytest.param("reference", marks=pytest.mark.slow)])
def test_every_command_works_on_a_second_device(
    recipe: str, shared_folder: Path, tiny: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    train = ("train", str(shared_folder), *tiny, "--recipe", recipe, "--epochs", "2", "--precision", "fp32")
    train += ("--set", "train.monitor=test", "--set", "optim.warmup_epochs=1")
    here = command(*train, "--name", "here")
    assert here.code == 0, here.stderr

    on_device = ("--gpu", "0")
    stopped = command(*train, *on_device, "--name", "there", first=partial(install, stop_at=STOP_AT))
    assert stopped.code == 75, stopped.stderr
    resumed = command(*train, *on_device, "--resume", "there", first=install)
    assert resumed.code == 0, resumed.stderr
    assert f"fp32 on {NAME}:0" in resumed.stderr
    for there, cpu in zip(records(tmp_path / RUN / "there"), records(tmp_path / RUN / "here"), strict=True):
        assert there["loss"] == pytest.approx(cpu["loss"], rel=1e-4)
        assert there["gradient_norm"] == pytest.approx(cpu["gradient_norm"], rel=1e-3)

    run = ("--run", "there")
    picture = next((shared_folder / "images").rglob("*.png"))
    for arguments in (
        ("eval", str(shared_folder), "--json", "--set", "data.workers=0", *on_device, *run),
        ("predict", str(picture), "--json", *on_device, *run),
        ("visualize", "patches", str(shared_folder), "-o", "patches.png", *on_device, *run),
        ("export", str(shared_folder), "--format", "safetensors", "-o", "model.safetensors", *run),
    ):
        done = command(*arguments, first=install)
        assert done.code == 0, done.stderr
