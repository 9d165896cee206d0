"""Test every recipe and switch on a second device: no tensor is misplaced, no step waits, and fp32 equals the CPU."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from tests.device import simulated, steps
from tests.device.steps import Case

pytestmark = pytest.mark.skipif(not simulated.AVAILABLE, reason=simulated.UNAVAILABLE)
FP32, BF16 = torch.float32, torch.bfloat16
FAST = [
    Case("svipctl"),
    Case("svipctl", BF16),
    Case("svipctl", FP32, frozen=True),
    Case("svipctl", FP32, checkpointing="blocks", parts=2),
    Case("svipctl", BF16, checkpointing="mlp"),
    Case("reference"),
]
SLOW = [Case(recipe, dtype) for recipe in steps.RECIPES for dtype in (FP32, BF16)]
SLOW += [Case("reference", FP32, frozen=True), Case("reference", BF16, checkpointing="blocks", parts=2)]


@pytest.mark.parametrize(
    "case", [*FAST, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW if case not in FAST)], ids=str
)
def test_no_tensor_is_misplaced_and_fp32_equals_the_cpu(case: Case, device_process: ProcessPoolExecutor) -> None:
    there = device_process.submit(steps.run, case, simulated.NAME).result()
    assert torch.isfinite(there.figures).all()
    if case.dtype is FP32:
        here = steps.run(case, "cpu")
        torch.testing.assert_close(there.figures, here.figures, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(there.attributes, here.attributes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", steps.PLACES)
def test_one_tensor_on_the_cpu_is_detected(place: str, device_process: ProcessPoolExecutor) -> None:
    with pytest.raises(simulated.Misplaced):
        device_process.submit(steps.run_with, place, steps.on_cpu).result()


@pytest.mark.parametrize("place", ["class scores", "selected windows"])
def test_one_wait_within_a_step_is_detected(place: str, device_process: ProcessPoolExecutor) -> None:
    with pytest.raises(simulated.Waited):
        device_process.submit(steps.run_with, place, steps.waited_for).result()
