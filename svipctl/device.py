"""Choose the device of a run (CPU or GPU) and its arithmetic (fp32 or bf16)."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from svipctl.errors import ConfigError, is_out_of_memory
from svipctl.quoting import shell_words
from svipctl.types import Precision

_SIGNS_OF_FAULT = ("CUDA error", "CUDA driver error", "device-side assert", "Triton Error [CUDA]")


def gpu_flag(device: str | int | torch.device) -> str:
    """Return a device of the Python API (`auto`, `cpu`, `cuda`, `cuda:1`, 1, a torch.device) as `--gpu` names it."""
    name = str(device)
    return "0" if name == "cuda" else name.removeprefix("cuda:")


def choose_device(gpu: str, local: int = 0) -> torch.device:
    """Return the device that `--gpu` selects: auto, cpu, the index of a GPU, or one of several for each process.

    Args:
        gpu: The flag's value.
        local: Index of this process among those of the run on this machine.

    Raises:
        ConfigError: The GPU does not exist, or none is left for this process.

    """
    count = torch.cuda.device_count()
    if gpu == "cpu" or (gpu == "auto" and not count):
        return torch.device("cpu")
    if gpu == "auto":
        if count > 1 and local >= count:  # with one, the launcher may have given each process its own
            raise ConfigError(
                f"process {local + 1} of this machine has no GPU of its own",
                why=f"this machine has {count} GPUs",
                todo="start one process per GPU",
            )
        return torch.device("cuda", local % count)
    names = [name.strip() for name in gpu.split(",")]
    wrong = [name for name in names if not (name.isascii() and name.isdecimal())]
    is_on_cpu, own = set(names) == {"cpu"}, "each process of a run needs a device of its own"
    if wrong and not is_on_cpu:
        todo = "use auto, cpu, the index of a GPU, or several: --gpu 0,1"
        raise ConfigError(f"--gpu {gpu}: {wrong[0]!r} is not the index of a GPU", todo=todo)
    if not is_on_cpu and len(set(map(int, names))) < len(names):
        raise ConfigError(f"--gpu {gpu} names a GPU twice", why=own, todo="pass different GPUs, for instance --gpu 0,1")
    if local >= len(names):
        named = f"{len(names)} devices" if len(names) > 1 else "one device"
        raise ConfigError(
            f"--gpu {gpu} names {named}, so none is left for process {local + 1} on this machine",
            why=own,
            todo="omit --gpu, or pass a device for each process, for instance --gpu 0,1",
        )
    if is_on_cpu:
        return torch.device("cpu")
    if int(names[local]) >= count:
        there = f"this machine has GPU 0 to {count - 1}" if count > 1 else f"this machine has {count or 'no'} GPU"
        raise ConfigError(f"there is no GPU {names[local]}", why=there, todo="use --gpu auto or --gpu cpu")
    return torch.device("cuda", int(names[local]))


def check_devices(gpu: str) -> torch.device:
    """Return the first device of `--gpu`; raise ConfigError unless every one exists."""
    first, *_ = [choose_device(gpu, local) for local in range(len(gpu.split(",")))]
    return first


def use_device(gpu: str, local: int = 0) -> torch.device:
    """Return the device of `--gpu`, and make it the current device of this process.

    fp32 means fp32: by default torch lets convolutions round to TF32, and matrix products where
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE is set. cuDNN's attention is disabled, because it has not been tested here.

    Raises:
        ConfigError: The GPU does not exist, or it cannot be used, for instance because its driver is too old.

    """
    device = choose_device(gpu, local)
    if device.type == "cuda":
        try:
            torch.cuda.set_device(device)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise ConfigError(
                f"GPU {device.index} cannot be used",
                why=" ".join(str(error).partition("\n")[0].split()),
                todo="run `svipctl doctor`, or use the CPU: --gpu cpu",
            ) from error
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.enable_cudnn_sdp(False)
    return device


def visible_gpus() -> list[str]:
    """Return the GPUs that this process can see, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(index) for index in range(count)]


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the arithmetic of the network; `auto` is bf16 where the hardware multiplies bf16 matrices."""
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if precision != "auto":
        raise ConfigError(f"there is no precision {precision!r}", todo="use auto, fp32 or bf16")
    return torch.bfloat16 if _has_bf16(device) else torch.float32


@cache
def cpu_has_bf16() -> bool:
    """Return True if the processor has bf16 dot products (AVX512-BF16 or AMX); elsewhere bf16 is emulated and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def full_precision(tensor: Tensor) -> Tensor:
    """Return a tensor in at least float32, because scores that are ranked, summed or divided must not be rounded."""
    if tensor.dtype == torch.float64:
        return tensor
    return tensor.to(torch.float32, memory_format=torch.contiguous_format)  # one copy, where a product would copy again


def _has_bf16(device: torch.device) -> bool:
    if device.type != "cuda":
        return cpu_has_bf16()
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def precision_name(dtype: torch.dtype) -> Precision:
    """Return the name of a dtype as `--precision` takes it."""
    return "fp32" if dtype.itemsize == 4 else "bf16"


def arithmetic_name(dtype: torch.dtype, device: torch.device) -> str:
    """Return a name for files whose numbers depend on the arithmetic: float32, bfloat16-cuda."""
    return str(dtype).removeprefix("torch.") + ("" if device.type == "cpu" else f"-{device.type}")


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return an autocast context for an arithmetic; it does nothing in fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def no_autocast(like: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast for a tensor's device; none if nothing is cast, so that no graph holds one."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def is_device_fault(error: BaseException) -> bool:
    """Return True if a GPU reports a failed kernel; the report arrives at some later call."""
    return any(sign in str(error) for sign in _SIGNS_OF_FAULT)


def is_compiler_failure(error: BaseException) -> bool:
    """Return True if an exception reports that torch.compile failed, mostly because there is no C++ compiler."""
    return any(kind.__name__ == "BackendCompilerFailed" for kind in type(error).__mro__)  # importing it takes a second


@contextmanager
def explained_compiler_failure(setting: str) -> Iterator[None]:
    """Raise ConfigError if torch.compile fails inside the block; `setting` is the key that enables it."""
    try:
        yield
    except RuntimeError as error:
        if not is_compiler_failure(error):
            raise
        raise ConfigError(
            "torch.compile does not work on this machine",
            why=" ".join(str(error).partition("\n\n")[0].split()),
            todo=f"install a C++ compiler, or disable it: {shell_words('--set', f'{setting}=false')}",
        ) from error


def peak_memory(device: torch.device) -> float:
    """Return the peak memory so far in MiB: of the GPU's tensors, or of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
