"""What autograd keeps of a forward pass for its backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Kept:
    """Storages that are kept, each once, the parameters of the network themselves not."""

    def __init__(self, network: nn.Module) -> None:
        # By the storage's own address: that of its data is not there where tensors have no values.
        self._own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
        self._storages: dict[int, torch.UntypedStorage] = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """What is kept inside is counted, and lives as long as this does."""
        with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor):
            yield

    @property
    def mib(self) -> float:
        return sum(storage.nbytes() for storage in self._storages.values()) / 2**20

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._own:
            self._storages[storage._cdata] = storage
        return tensor
