"""Test the device and the arithmetic of a run."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from svipctl.device import (
    arithmetic_name,
    autocast,
    check_devices,
    choose_device,
    choose_dtype,
    use_device,
    visible_gpus,
)
from svipctl.errors import ConfigError, is_out_of_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("gpus", "gpu", "device"),
    [(0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda:0"), (2, "cpu", "cpu"), (2, "1", "cuda:1")],
)
def test_the_flag_selects_the_device(gpus: int, gpu: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device(gpu) == torch.device(device)


@pytest.mark.parametrize(
    ("gpus", "gpu", "why"),
    [(0, "0", "no GPU"), (1, "1", "1 GPU"), (2, "7", "GPU 0 to 1"), (2, "cuda", "auto, cpu"), (2, "-1", "auto, cpu")],
)
def test_a_missing_gpu_is_an_error(gpus: int, gpu: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError) as caught:
        choose_device(gpu)
    assert why in f"{caught.value.why}{caught.value.todo}"


def test_each_process_gets_its_own_gpu_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device("auto", local).index for local in (0, 1)] == [0, 1]
    with pytest.raises(ConfigError, match="process 3 of this machine"):
        choose_device("auto", 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # the only one that this process can see
    assert choose_device("auto", 2) == torch.device("cuda", 0)


def test_a_process_selects_its_gpu_and_computes_fp32_there(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    products.allow_tf32 = True  # as TORCH_ALLOW_TF32_CUBLAS_OVERRIDE sets it
    assert use_device("cpu") == CPU
    assert (chosen, products.allow_tf32, convolutions.allow_tf32) == ([], True, True)
    assert use_device("0,1", local=1) == torch.device("cuda", 1)
    assert (chosen, products.allow_tf32, convolutions.allow_tf32) == ([torch.device("cuda", 1)], False, False)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)


def test_a_gpu_with_an_old_driver_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old(device: torch.device) -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", too_old)
    with pytest.raises(ConfigError) as caught:
        use_device("0")
    assert "too old" in caught.value.why


@pytest.mark.parametrize("gpu", ["0,0", "0,00", "0,cpu", "cpu,0", "0,auto", "auto,auto", "0,", ","])
def test_a_list_without_distinct_gpus_is_refused(gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError):
        check_devices(gpu)


def test_one_gpu_is_refused_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("1", local=0) == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="process 2 on this machine"):
        choose_device("1", local=1)


@pytest.mark.parametrize(
    ("variable", "count", "gpus"),
    [("", 2, ["0", "1"]), ("3,5", 2, ["3", "5"]), ("GPU-a, GPU-b", 2, ["GPU-a", "GPU-b"]), ("3,-1,5", 1, ["3"])],
)
def test_gpus_have_the_names_of_cuda_visible_devices(
    variable: str, count: int, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == gpus


@pytest.mark.parametrize("has", [True, False])
def test_bf16_support_is_queried_from_the_selected_gpu(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext(asked.append(device.index == 1)))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: has and not including_emulation)
    dtype = choose_dtype("auto", torch.device("cuda", 1))
    assert (dtype, asked) == (torch.bfloat16 if has else torch.float32, [True])


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA driver error: out of memory"), True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True),
        (RuntimeError("cuMemCreate failed: CUDA_ERROR_OUT_OF_MEMORY"), True),
        (RuntimeError("NCCL error: unhandled cuda error\nCuda failure 2 'out of memory'"), True),
        (RuntimeError("out of resource: shared memory, Required: 245760"), False),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_out_of_memory_errors_are_recognised(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_bf16_exactly_if_the_hardware_supports_it(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svipctl.device.cpu_has_bf16", lambda: has)
    assert choose_dtype("auto", CPU) == (torch.bfloat16 if has else torch.float32)
    assert choose_dtype("fp32", CPU) == torch.float32
    assert choose_dtype("bf16", CPU) == torch.bfloat16


def test_autocast_changes_the_arithmetic_only_for_bf16() -> None:
    matrix = torch.ones(2, 2)
    for dtype in (torch.float32, torch.bfloat16):
        with autocast(dtype, CPU):
            assert (matrix @ matrix).dtype == dtype


def test_the_arithmetic_of_a_cpu_and_of_a_gpu_has_different_names() -> None:
    assert arithmetic_name(torch.float32, torch.device("cpu")) == "float32"
    assert arithmetic_name(torch.bfloat16, torch.device("cuda", 1)) == "bfloat16-cuda"
