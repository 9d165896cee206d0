"""A model and a data set that are small enough to be inspected quickly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Benchmark
from svipctl.model.recipe import Recipe
from svipctl.visuals.inspection import Inspector
from tests.evaluation.cases import benchmark
from tests.inference.models import trained_model
from tests.model.tiny import svip, vit


def tiny_inspector(
    root: Path, recipe: Recipe | None = None, *, data: Benchmark | None = None, window: int = 2, **backbone: Any
) -> Inspector:
    """Return an inspector of twelve images of four classes, a and b of them seen, with five attributes."""
    data = data or benchmark(root, masks=True)
    network = svip(recipe or Recipe(keep=2), window=window, backbone=vit(**backbone))
    model = trained_model(network, window=window, classes=data.classes, seen_classes=("a", "b"))
    return Inspector(model, data, gamma=0.1)


def boxed(data: Benchmark) -> Benchmark:
    """Return the same images with boxes instead of masks, all around the left half."""
    return replace(data, masks=(), boxes=np.tile([0.0, 0.0, 16.0, 32.0], (len(data.images), 1)))
