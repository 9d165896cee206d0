"""A model and a benchmark on disk that are small enough to look at in a blink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Normalisation, Transform
from svipctl.inference.answers import Answering
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.class_table import Candidates
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.visuals.subject import Subject
from tests.evaluation.cases import benchmark
from tests.model.tiny import svip, vit

SEEN = ("a", "b")


def subject(
    root: Path, recipe: Recipe | None = None, *, data: Benchmark | None = None, window: int = 2, **backbone: Any
) -> Subject:
    """Twelve images, four classes, five attributes; the run behind it is on no disk."""
    recipe = recipe or Recipe(keep=2)
    data = data or benchmark(root, masks=True)
    model = svip(recipe, window=window, backbone=vit(**backbone))
    seen = np.array([name in SEEN for name in data.classes])
    metadata = Metadata(
        "1", data.name, "svipctl", 3, "vit", {}, {}, window, 8, recipe.model_dump(), data.attributes, data.classes,
        SEEN, [0.5] * 3, [0.5] * 3, 32,
    )  # fmt: skip
    return Subject(
        Run(root / "run"), data, data.test_split(), model, metadata, Transform(32),
        Normalisation([0.5] * 3, [0.5] * 3),
        Answering(data.attributes, Candidates(data.classes, data.class_attributes, seen), 0.1, recipe, 3, 4),
        torch.device("cpu"), torch.float32,
    )  # fmt: skip


def boxed(data: Benchmark) -> Benchmark:
    """The same images with boxes instead of masks, all around the left half."""
    return replace(data, masks=(), boxes=np.tile([0.0, 0.0, 16.0, 32.0], (len(data.images), 1)))
