"""Checkpoint files as the published code saves them (data, section 6)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from svipctl.inference.weights_file import published_name
from svipctl.model.svip import SVIP


def published(network: SVIP) -> dict[str, Tensor]:
    """Return a network's tensors under the published names."""
    return {
        published_name(name): tensor.clone()
        for name, tensor in network.state_dict().items()
        if name != "context.word_vectors"
    }


def published_document(network: Mapping[str, Tensor], /, **changed: Any) -> dict[str, Any]:
    """Return all keys of the published dict: the network's tensors and the unused classifier."""
    unused = {"head.weight": torch.zeros(10, 4), "head.bias": torch.zeros(10)}
    best = {"H": np.float64(75.0), "gamma": torch.tensor(0.4), "epoch": 14, "protocol": "gzsl"}
    return {
        "epoch": 14,
        "args": argparse.Namespace(dataset="CUB", lr=3e-5, betas=(0.5, 0.999), resume=None),
        "finish": True,
        "best_accs": best,
        "best_stacked_accs": best | {"U": torch.tensor([72.8])},
        "semantic_lists": None,
        "network": {**network, **unused},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 3e-5, "params": [0]}]},
    } | changed


def save_published(path: Path, network: Mapping[str, Tensor], /, **changed: Any) -> Path:
    torch.save(published_document(network, **changed), path)
    return path
