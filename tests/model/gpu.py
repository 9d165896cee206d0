"""A fake GPU: its tensors have a shape, a type and a device, and no values.

It detects what is on the wrong device, and what waits for a value from the device, on machines without a GPU. Backward
passes need a real one. Some builds of torch (those without CUDA, 2.5 without a driver) end the process at the first
such tensor in autograd; `is_supported` tests this in a separate process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

GPU = torch.device("cuda", 0)
_PROBE = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():
    weight = torch.nn.Parameter(torch.empty(2, 2, device="cuda:0"))
    torch.nn.functional.linear(torch.empty(1, 2, device="cuda:0"), weight).sum()
"""
Network = TypeVar("Network", bound=nn.Module)


def is_supported() -> bool:
    """Return whether this torch supports it."""
    return subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False).returncode == 0


@contextmanager
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Create all tensors inside without values; autocast to bf16 works as if there were a GPU that supports it."""
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_, **__: True)
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield


def moved(network: Network) -> Network:
    """Move parameters and buffers of a network to the GPU in place, and return it; for use inside `on_gpu`."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            there = torch.empty(parameter.shape, dtype=parameter.dtype, device=GPU)
            setattr(module, name, nn.Parameter(there, requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=GPU))
    return network
