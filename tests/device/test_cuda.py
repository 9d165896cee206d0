"""Test the same steps on a GPU as on the CPU, without a wait within a step, and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from svipctl.device import use_device
from tests.conftest import Command
from tests.device import steps
from tests.device.steps import Case

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
FP32, BF16 = torch.float32, torch.bfloat16


@pytest.mark.parametrize("recipe", steps.RECIPES)
def test_steps_never_wait_and_fp32_equals_the_cpu(recipe: str) -> None:
    use_device("0")
    there, here = steps.run(Case(recipe), "cuda"), steps.run(Case(recipe), "cpu")
    torch.testing.assert_close(there.figures, here.figures, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(there.attributes, here.attributes, rtol=1e-3, atol=1e-4)
    assert torch.isfinite(steps.run(Case(recipe, BF16), "cuda").figures).all()


def test_training_and_evaluation_equal_those_on_the_cpu(
    shared_folder: Path, tiny: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    documents = {}
    for gpu in ("cpu", "0"):
        common = (str(shared_folder), "--gpu", gpu, "--precision", "fp32", "--json")
        assert command("train", *tiny, *common, "--name", f"on-{gpu}").code == 0
        documents[gpu] = command("eval", *common, "--run", "on-cpu").document["protocols"]["zsl"]
    records = [json.loads((tmp_path / f"runs/small/on-{gpu}/metrics.jsonl").read_text()) for gpu in ("cpu", "0")]
    assert records[1]["loss"] == pytest.approx(records[0]["loss"], rel=1e-3)
    assert documents["0"] == documents["cpu"]
