"""Check the hardware (GPUs, memory, disk) and the folders that svipctl writes to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from svipctl.cpu_count import processor_count
from svipctl.doctor.finding import Finding
from svipctl.files import free_disk_space, nearest_existing

_GIB = 2**30
_LEAST_MEMORY = 2 * _GIB  # importing torch and training toybirds takes about half of it
_LEAST_DISK = _GIB
_NEWER_DRIVER = (
    "update the NVIDIA driver, or install a torch build for its CUDA version: https://pytorch.org/get-started"
)


def check_gpus() -> Iterator[Finding]:
    """Check the CUDA version of torch, and each GPU with its memory. torch must be importable."""
    import torch

    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    count = torch.cuda.device_count()
    if torch.version.cuda and (refused := _driver_problem()):
        yield Finding("CUDA", "wrong", f"{built}: {refused}", _NEWER_DRIVER)
        return
    yield Finding("CUDA", "ok", f"{built}, {count} GPU" if count else f"{built}, no GPU: everything runs on the CPU")
    for index in range(count):
        try:
            free, total = torch.cuda.mem_get_info(index)
        except RuntimeError as error:
            yield Finding(f"GPU {index}", "wrong", " ".join(str(error).split()), "nvidia-smi")
            continue
        name = torch.cuda.get_device_name(index)
        yield Finding(f"GPU {index}", "ok", f"{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free")


def _driver_problem() -> str:
    """Return the reason why torch cannot use the installed NVIDIA driver; empty if it can, or if there is none."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        said = " ".join(str(error).split())
        return said if "driver" in said and "too old" in said else ""
    return ""


def check_memory() -> Finding:
    """Check the machine's main memory."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return Finding("memory", "absent", "this system does not report it")
    enough = total >= _LEAST_MEMORY
    todo = "" if enough else "use a smaller --batch-size, or a machine with 2 GiB"
    return Finding("memory", "ok" if enough else "wrong", f"{total / _GIB:.1f} GiB, {processor_count()} cores", todo)


def check_folder(name: str, folder: Path, flag: str) -> Iterator[Finding]:
    """Check that a folder can be written or created, and the free space of its disk. Nothing is left behind."""
    place = nearest_existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror}"
        yield Finding(f"{name} write access", "wrong", found, f"choose another folder with {flag} FOLDER")
        return
    made = "" if folder.exists() else ", created when needed"
    yield Finding(f"{name} write access", "ok", f"{folder}{made}")
    free = free_disk_space(place)
    enough = free >= _LEAST_DISK
    todo = "" if enough else f"free some space, or choose another disk with {flag} FOLDER"
    yield Finding(f"{name} disk", "ok" if enough else "wrong", f"{free / _GIB:.1f} GiB free", todo)
