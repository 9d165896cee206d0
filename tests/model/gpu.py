"""A GPU that computes nothing: its tensors have a shape, a type and a device, and no values.

So what is on the wrong device, and what asks the device for a value and thereby waits for it, is found on machines without
a GPU. Backward passes need a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

GPU = torch.device("cuda", 0)
Network = TypeVar("Network", bound=nn.Module)


@contextmanager
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All tensors made inside are of no values; autocast to bf16 works as if there were a GPU that has it."""
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_, **__: True)
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield


def moved(network: Network) -> Network:
    """The network itself, its parameters and buffers on the GPU; for use inside `on_gpu`."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            there = torch.empty(parameter.shape, dtype=parameter.dtype, device=GPU)
            setattr(module, name, nn.Parameter(there, requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=GPU))
    return network
