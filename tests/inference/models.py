"""Small trained models: the networks of tests/model/tiny.py with metadata, on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from svipctl.inference.checkpoint import Metadata
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import image_size_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from tests.model.tiny import ARGUMENTS, NAME, svip


def metadata(network: SVIP, **changed: Any) -> Metadata:
    """Return the metadata of a network with K attributes a0, a1, ... and two classes, x and y, of which y is unseen."""
    described: dict[str, Any] = {
        "version": "0",
        "dataset": "toy",
        "recipe": "svipctl",
        "epoch": 1,
        "backbone": NAME,
        "backbone_args": ARGUMENTS,
        "backbone_weights": {"source": "none", "sha256": ""},
        "window": 2,
        "classifier_hidden": 8,
        "method": network.recipe.model_dump(mode="json"),
        "attributes": [f"a{number}" for number in range(network.attribute_head.out_features)],
        "classes": ["x", "y"],
        "seen_classes": ["x"],
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "image_size": image_size_of(network.backbone),
        "value_range": (0.0, 1.0),
    }
    return Metadata(**described | changed)


def trained_model(network: SVIP | None = None, *, dtype: torch.dtype = torch.float32, **described: Any) -> TrainedModel:
    """Return a model of a network (the tiny one if None); keywords replace entries of its metadata."""
    network = network or svip(Recipe(keep=2))
    return TrainedModel(network, metadata(network, **described), torch.device("cpu"), dtype)
