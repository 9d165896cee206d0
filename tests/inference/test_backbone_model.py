"""Test a backbone alone as a model: its weights, its transform, and nothing trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from svipctl.errors import ConfigError, DataError
from svipctl.inference.load import backbone_model
from svipctl.model.weights import load_backbone, tensors_sha256
from svipctl.settings.layers import resolve
from tests.conftest import NETWORK


def settings_with(**flags: object) -> object:
    given = {"model.backbone": "vit_tiny_patch16_224", "model.weights": "none", "gpu": "cpu", "precision": "fp32"}
    return resolve("small", flags=given | flags, assignments=[NETWORK]).settings


def test_random_weights_are_those_of_the_seed() -> None:
    arguments = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    torch.manual_seed(3)
    expected, _ = load_backbone("vit_tiny_patch16_224", arguments, "none")
    found = backbone_model(settings_with(seed=3))  # type: ignore[arg-type]
    assert tensors_sha256(found.network.backbone) == tensors_sha256(expected)
    other = backbone_model(settings_with(seed=4))  # type: ignore[arg-type]
    assert tensors_sha256(other.network.backbone) != tensors_sha256(expected)


def test_its_metadata_are_those_of_the_settings() -> None:
    model = backbone_model(settings_with(**{"data.normalise": "imagenet", "data.test_resize": "square"}))  # type: ignore[arg-type]
    assert model.is_backbone_alone
    assert (model.classes, model.attributes, model.run) == ((), (), None)
    assert (model.metadata.image_size, model.metadata.resize) == (32, "square")
    assert tuple(model.normalise.mean) == (0.485, 0.456, 0.406)
    assert model.metadata.backbone_weights == {"source": "none", "sha256": ""}


def test_a_trained_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="features must come from a pretrained backbone"):
        backbone_model(settings_with(**{"model.init_from": str(tmp_path)}))  # type: ignore[arg-type]


def test_missing_weights_are_a_data_error() -> None:
    with pytest.raises(DataError, match=r"no weights file nope\.pth"):
        backbone_model(settings_with(**{"model.weights": "nope.pth"}))  # type: ignore[arg-type]
