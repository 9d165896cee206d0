"""Scored images, random and adversarial, and a small benchmark on disk with the settings of its evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.protocols import Scored
from svipctl.settings.schema import DataSettings, EvalSettings, Settings

SETTINGS = Settings(
    dataset="toy", gpu="cpu", precision="fp32", eval=EvalSettings(bootstrap=5), data=DataSettings(workers=0)
)


def scored(seed: int, images: int = 60, classes: int = 6, *, levels: int = 0) -> Scored:
    """Return random scores with some signal; `levels` above 0 rounds them, which gives many ties."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, images - classes)])
    scores = rng.standard_normal((images, classes)) + np.eye(classes)[labels]
    scores = np.round(scores * levels) / levels if levels else scores
    half = classes // 2
    return Scored(scores, labels, np.arange(half), np.arange(half, classes))


@st.composite
def adversarial(draw: st.DrawFn) -> Scored:
    """Draw cases with ties, one class on a side, and sides without images."""
    seen, unseen, images = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 8))
    value = st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(-3, 3, width=16)
    row = st.lists(value, min_size=seen + unseen, max_size=seen + unseen)
    scores = np.array(draw(st.lists(row, min_size=images, max_size=images)))
    side = draw(st.sampled_from([(0, seen), (seen, seen + unseen), (0, seen + unseen)]))
    labels = np.array(draw(st.lists(st.integers(side[0], side[1] - 1), min_size=images, max_size=images)))
    return Scored(scores, labels, np.arange(seen), np.arange(seen, seen + unseen))


def benchmark(root: Path, *, masks: bool = False) -> Benchmark:
    """Return a benchmark: four classes, five attributes, twelve noise images of 32x32; classes 2 and 3 are unseen."""
    rng = np.random.default_rng(0)
    names = []
    for number in range(12):
        names.append(f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(root / names[-1])
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[:16, :16] = 255
        Image.fromarray(mask).save(root / f"mask{number}.png")
    return Benchmark(
        "toy", root, ("a", "b", "c", "d"), tuple(f"a{number}" for number in range(5)), rng.random((4, 5)) + 0.1,
        tuple(names), np.arange(12) % 4, np.array([0, 1, 4, 5]), np.array([8, 9]), np.array([2, 3, 6, 7, 10, 11]),
        masks=tuple(f"mask{number}.png" for number in range(12)) if masks else (),
    )  # fmt: skip
