"""Compare the answers of an exported file, in its own runtime, with those of the model on real images.

The reference is not the exported graph but the path of `svipctl eval`: PIL's geometry, our normalization, eager fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from svipctl.datasets.benchmark import spread
from svipctl.datasets.images import channels_first, decode
from svipctl.export.graph import OUTPUTS, ExportPrecision, Pixels
from svipctl.export.runner import Outputs, Runner
from svipctl.inference.class_table import ClassTable
from svipctl.inference.trained_model import TrainedModel
from svipctl.types import ProgressCallback

BATCHES = (1, 3, 16)
TOLERANCE: dict[ExportPrecision, float] = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.25}
"""Largest difference that passes: absolute for scores, relative to the largest value for attributes."""
_AT_OTHER_BATCHES = 24
_ENLARGED = {1: (1.0, 1.0), 3: (1.5, 1.0), 16: (2.0, 2.0)}
"""Width and height of a batch's images relative to those of its first, so that a graph with resizing must resize."""


@dataclass
class BatchComparison:
    """One batch size and class table over all images compared."""

    batch: int
    table: str
    images: int = 0
    equal: int = 0
    """Images with the same best class."""
    largest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(OUTPUTS, 0.0))
    decided_otherwise: int = 0
    """Images whose best class changed although it led by more than the tolerance."""

    def add(self, found: Outputs, expected: Outputs, tolerance: float) -> None:
        """Count a batch."""
        for name, one, other in zip(OUTPUTS, found, expected):
            scale = max(1.0, float(np.abs(other).max())) if name == "attributes" else 1.0
            gap = float(np.abs(one.astype(np.float64) - other).max()) / scale
            self.largest[name] = float(np.maximum(gap, self.largest[name]))  # max() may skip NaN
        ours, theirs = expected.scores.argmax(axis=1), found.scores.argmax(axis=1)
        ordered = np.sort(expected.scores, axis=1)
        margins = ordered[:, -1] - ordered[:, -2] if ordered.shape[1] > 1 else np.full(len(ordered), np.inf)
        self.images += len(ours)
        self.equal += int((ours == theirs).sum())
        self.decided_otherwise += int(((ours != theirs) & (margins > tolerance)).sum())

    def breaches(self, tolerance: float) -> list[str]:
        """Return the differences that exceed the tolerance."""
        title = f"batch {self.batch}, {self.table} classes"
        found = [
            f"{title}: {name} differ by {gap:.3g}, more than {tolerance:g}"
            for name, gap in self.largest.items()
            if not gap <= tolerance
        ]
        if self.decided_otherwise:
            found.append(
                f"{title}: the predicted class differs for {self.decided_otherwise} of {self.images} images by more than "
                "the tolerance"
            )
        return found

    def document(self) -> dict[str, Any]:
        """Return the entry of the report."""
        return {
            "batch": self.batch,
            "classes": self.table,
            "images": self.images,
            "largest_difference": {name: gap if isfinite(gap) else None for name, gap in self.largest.items()},
            "equal_answers": self.equal / self.images,
            "changed_beyond_margin": self.decided_otherwise,
        }


def compare(
    runner: Runner,
    model: TrainedModel,
    pixels: Pixels,
    classes: ClassTable,
    gamma: float,
    images: Sequence[Path],
    labels: np.ndarray,
    tolerance: float,
    progress: ProgressCallback | None = None,
    *,
    upright: bool = True,
) -> dict[str, Any]:
    """Compare an exported file with the model, and return the report.

    Args:
        runner: The loaded file.
        model: The reference, in fp32 on the CPU.
        pixels: Image input of the file.
        classes: The run's classes, the first table; the second consists of mixtures of them.
        gamma: Gamma of the first table; the second has another one for every class.
        images: Image files; all are compared at the largest batch size, some at the others.
        labels: (N,) classes of the images.
        tolerance: See `TOLERANCE`.
        progress: Called with images done and images in total.
        upright: Rotate photographs by their EXIF orientation, as the data set does.

    Returns:
        `passed`; `breaches`, the differences that exceed the tolerance; `comparisons`, one per batch size and table;
        and `accuracy` in percent of `model` and `exported` among the run's classes, each image counted once.

    Raises:
        DataError: An image does not decode.

    """
    own = classes.class_attributes.astype(np.float32), (gamma * classes.seen).astype(np.float32)
    tables = {"own": own, "other": _other_table(own[0])}
    comparisons = []
    right = {"model": 0, "exported": 0}
    few = min(_AT_OTHER_BATCHES, len(images))
    total, done = few * 2 * (len(BATCHES) - 1) + 2 * len(images), 0
    for batch in BATCHES:
        for name, table in tables.items():
            comparison = BatchComparison(batch, name)
            count = len(images) if batch == BATCHES[-1] else few
            chosen = spread(np.arange(len(images)), count)
            for places in np.split(chosen, range(batch, count, batch)):
                pictures = [decode(images[place], upright=upright) for place in places]
                if pixels.resize:
                    pictures = _alike(pictures, *_ENLARGED[batch])
                    given = torch.stack([channels_first(np.asarray(picture)) for picture in pictures])
                else:
                    given = torch.stack([model.transform(picture) for picture in pictures])
                expected = _expected(model, pictures, *table)
                found = runner(pixels.of_bytes(given).numpy(), *table)
                comparison.add(found, expected, tolerance)
                if batch == BATCHES[-1] and name == "own":
                    right["model"] += int((expected.scores.argmax(axis=1) == labels[places]).sum())
                    right["exported"] += int((found.scores.argmax(axis=1) == labels[places]).sum())
                done += len(places)
                if progress:
                    progress(done, total)
            comparisons.append(comparison)
    breaches = [breach for one in comparisons for breach in one.breaches(tolerance)]
    return {
        "passed": not breaches,
        "breaches": breaches,
        "tolerance": tolerance,
        "runtime": runner.runtime,
        "reference": f"eager fp32, torch {torch.__version__}",
        "comparisons": [one.document() for one in comparisons],
        "accuracy": {"images": len(images), **{name: 100 * count / len(images) for name, count in right.items()}},
    }


def _expected(
    model: TrainedModel, pictures: Sequence[Image.Image], class_attributes: np.ndarray, gamma: np.ndarray
) -> Outputs:
    """Return the model's output for images of any size."""
    prediction = model.predict_pixels(torch.stack([model.transform(picture) for picture in pictures]))
    scores = model.network.scorer(prediction.attributes, torch.from_numpy(class_attributes))
    scores = scores - torch.from_numpy(gamma)
    return Outputs(scores.numpy(), prediction.attributes.numpy(), (1 - prediction.unrelated).numpy())


def _other_table(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a second table of unseen classes, random mixtures of rows in another number, and a gamma for each."""
    rng = np.random.default_rng(3)
    count = len(table) // 2 + 2
    first, second = (table[rng.integers(len(table), size=count)] for _ in range(2))
    share = rng.uniform(0.2, 0.8, (count, 1)).astype(np.float32)
    return first * share + second * (1 - share), rng.uniform(0, 0.1, count).astype(np.float32)


def _alike(pictures: list[Image.Image], wider: float, higher: float) -> list[Image.Image]:
    """Return images of one size, because a batch is one tensor."""
    width, height = pictures[0].size
    size = (max(1, round(width * wider)), max(1, round(height * higher)))
    return [picture if picture.size == size else picture.resize(size) for picture in pictures]


def comparison_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return a row of text for each comparison of an export's report."""
    return [
        [
            f"batch {one['batch']}, {one['classes']} classes",
            str(one["images"]),
            *("not finite" if gap is None else f"{gap:.1e}" for gap in one["largest_difference"].values()),
            f"{100 * one['equal_answers']:.1f} %",
        ]
        for one in document["comparisons"]
    ]
