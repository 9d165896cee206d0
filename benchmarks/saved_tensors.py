"""Tensors that autograd saves in a forward pass for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SavedTensors:
    """Saved storages, each counted once, without the parameters of the network."""

    def __init__(self, network: nn.Module) -> None:
        # By the address of the storage: tensors without values have no data address.
        self._own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
        self._storages: dict[int, torch.UntypedStorage] = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is saved inside the block, and keep it alive as long as this object."""
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
