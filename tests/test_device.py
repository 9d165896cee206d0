"""Which device and which arithmetic a run gets."""

from __future__ import annotations

import pytest
import torch

from svipctl.device import autocast, choose_device, choose_dtype
from svipctl.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("gpus", "gpu", "device"),
    [(0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda:0"), (2, "cpu", "cpu"), (2, "1", "cuda:1")],
)
def test_the_device_of_the_flag(gpus: int, gpu: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device(gpu) == torch.device(device)


@pytest.mark.parametrize(
    ("gpus", "gpu", "why"),
    [(0, "0", "no GPU"), (1, "1", "1 GPU"), (2, "7", "GPU 0 to 1"), (2, "cuda", "auto, cpu"), (2, "-1", "auto, cpu")],
)
def test_a_gpu_that_is_not_there_is_refused(gpus: int, gpu: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError) as caught:
        choose_device(gpu)
    assert why in caught.value.why


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_bf16_exactly_where_the_hardware_has_it(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svipctl.device.cpu_has_bf16", lambda: has)
    assert choose_dtype("auto", CPU) == (torch.bfloat16 if has else torch.float32)
    assert choose_dtype("fp32", CPU) == torch.float32
    assert choose_dtype("bf16", CPU) == torch.bfloat16


def test_autocast_changes_the_arithmetic_only_when_asked() -> None:
    matrix = torch.ones(2, 2)
    for dtype in (torch.float32, torch.bfloat16):
        with autocast(dtype, CPU):
            assert (matrix @ matrix).dtype == dtype
