"""Fixtures: a small benchmark and a run of it whose network is untrained."""

from __future__ import annotations

from pathlib import Path

import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.inference.checkpoint import Metadata, save_checkpoint
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from tests.evaluation.cases import SETTINGS, benchmark
from tests.inference.models import metadata
from tests.model.tiny import svip


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


@pytest.fixture
def described(data: Benchmark) -> Metadata:
    return metadata(svip(Recipe(keep=2)), classes=data.classes, attributes=data.attributes)


@pytest.fixture
def run(tmp_path: Path, described: Metadata, data: Benchmark) -> Run:
    made = Run(tmp_path / "run")
    made.make()
    made.start(SETTINGS, {}, [data.images[index] for index in data.trainval])
    save_checkpoint(made.best, svip(Recipe(keep=2)), described)
    return made
