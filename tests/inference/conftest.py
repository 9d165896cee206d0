"""Fixtures: a small data folder and a small backbone with random weights, for tests of features."""

from __future__ import annotations

from pathlib import Path

import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.registry import open_benchmark
from svipctl.inference.load import backbone_model
from svipctl.inference.trained_model import TrainedModel
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from tests.conftest import NETWORK


def settings_of(folder: Path, backbone: str = "vit_tiny_patch16_224", network: str = NETWORK) -> Settings:
    flags = {"model.backbone": backbone, "model.weights": "none", "gpu": "cpu", "precision": "fp32"}
    return resolve(str(folder), flags=flags, assignments=[network, "data.workers=0"]).settings


@pytest.fixture
def benchmark(small_folder: Path) -> Benchmark:
    return open_benchmark(str(small_folder), Path("data"))


@pytest.fixture
def model(small_folder: Path) -> TrainedModel:
    return backbone_model(settings_of(small_folder))
