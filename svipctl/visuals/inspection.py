"""What the model makes of each image, as values: everything that the figures of images show.

Any number of images is looked at in one pass, a few at a time; nothing is kept of those that were handed on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.images import Geometry, Pixels, decode
from svipctl.datasets.objects import object_mask
from svipctl.device import autocast
from svipctl.evaluation.selection import BACKGROUND_SHARE, selection_quality
from svipctl.evaluation.truth import ObjectTruth, object_truth
from svipctl.inference.answers import Answer
from svipctl.visuals.subject import Subject

_BATCH = 16

Map = NDArray[np.float32]
"""(rows, columns) of windows or patches."""


@dataclass(frozen=True)
class Inspection:
    """One image. Maps are (rows, columns) of windows unless said otherwise."""

    name: str
    pixels: Pixels
    """(size, size, 3) as the model saw it, before normalisation."""
    answers: tuple[Answer, ...]
    """Classes the model names, best first."""
    attributes: Map
    """(K,) predicted."""
    scores: Map
    """What ranks the windows in the source pass, attention rollout in most recipes; high is related."""
    attention: NDArray[np.float32]
    """(blocks, patch rows, patch columns): the class token's attention in each block of the source pass, head mean."""
    related: Map | None
    """The patch classifier's probability that the window is related; None in recipes without a selection."""
    kept: NDArray[np.bool_] | None
    """Windows the model took for related; None in recipes without a selection."""
    windows: NDArray[np.float32] | None
    """(rows, columns, K), the attribute head on each window; None where it reads the class token."""
    true_class: str | None = None
    """None of a picture of one's own."""
    is_seen: bool | None = None
    """Whether the true class was trained."""
    truth: Literal["mask", "box"] | None = None
    """Who says where the object is."""
    mask: NDArray[np.bool_] | None = None
    """(size, size) where the object is, from a mask or filled from a box; None where nobody says."""
    shares: Map | None = None
    """Share of each window that shows the object."""
    auc: float | None = None
    """The patch classifier against the background, percent (`svipctl eval`: selection); None where it says nothing."""

    @property
    def answer(self) -> str:
        """The class the model names."""
        return self.answers[0].name

    @property
    def is_right(self) -> bool | None:
        """Whether that is the true class."""
        return None if self.true_class is None else self.answer == self.true_class


def inspect(subject: Subject, images: Iterable[int | Path]) -> Iterator[Inspection]:
    """Look at images, in their order.

    Args:
        subject: The model.
        images: Numbers of the benchmark's images, or files of one's own.

    Raises:
        DataError: An image does not decode.
        CheckFailed: The model's output is not finite.
        ConfigError: The recipe takes the selection from masks, and the picture is one's own.

    """
    subject.model.eval()
    coming = iter(images)
    while batch := list(islice(coming, _BATCH)):
        pixels = [_read(subject, image) for image in batch]
        yield from _looked_at(subject, batch, pixels)


def _read(subject: Subject, image: int | Path) -> Tensor:
    if isinstance(image, Path):
        return subject.transform(decode(image, upright=True))
    return subject.transform(decode(subject.benchmark.image_path(image)))


def _object(subject: Subject, image: int | Path) -> tuple[NDArray[np.bool_], ObjectTruth] | None:
    """Mask (size, size) of the object and what it says of the windows, if anybody says."""
    if isinstance(image, Path):
        return None
    geometry = Geometry(subject.transform.resize, subject.transform.size)
    truth = object_truth(subject.benchmark, np.array([image]), geometry, subject.model.grid.window_shape)
    return None if truth is None else (object_mask(subject.benchmark, image, geometry), truth)


def _looked_at(subject: Subject, batch: list[int | Path], pixels: list[Tensor]) -> Iterator[Inspection]:
    model = subject.model
    grid, recipe = model.grid, model.recipe
    shape = grid.window_shape
    objects = [_object(subject, image) for image in batch]
    known = [one[1].shares.ravel() for one in objects if one is not None]
    coverage = None
    if recipe.selection == "object" and len(known) == len(batch):
        coverage = torch.from_numpy(np.stack(known).astype(np.float32))
    with torch.inference_mode(), autocast(subject.dtype, subject.device):
        inputs = subject.normalise(torch.stack(pixels).to(subject.device))
        prediction = model.predict(inputs, coverage=coverage)
        scores, attention = model.source_attention(inputs)
    answers = subject.answering.answers(prediction.attributes.double().cpu())
    unrelated = _plain(prediction.unrelated)
    kept = prediction.related.cpu().numpy()
    attributes, windows = _plain(prediction.attributes), _plain(prediction.windows)
    maps, layers = _plain(scores), _plain(attention)
    selects, localises = recipe.passes == "both", recipe.head == "windows"
    for position, image in enumerate(batch):
        name, true_class, is_seen = _truth(subject, image)
        truth, mask, shares, quality = None, None, None, {}
        one = objects[position]
        if one is not None:
            truth, mask, shares = one[1].source, one[0], one[1].shares.reshape(shape).astype(np.float32)
            if selects:
                row = unrelated[position : position + 1].astype(np.float64)
                quality = selection_quality(row, one[1].shares < BACKGROUND_SHARE, grid.windows - model.keep)
        yield Inspection(
            name=name,
            true_class=true_class,
            is_seen=is_seen,
            pixels=pixels[position].permute(1, 2, 0).numpy(),
            answers=answers[position],
            attributes=attributes[position],
            scores=maps[position].reshape(shape),
            attention=layers[position].reshape(-1, grid.rows, grid.columns),
            related=1 - unrelated[position].reshape(shape) if selects else None,
            kept=kept[position].reshape(shape) if selects else None,
            windows=windows[position].reshape(*shape, -1) if localises else None,
            truth=truth,
            mask=mask,
            shares=shares,
            auc=quality.get("auc"),
        )


def _truth(subject: Subject, image: int | Path) -> tuple[str, str | None, bool | None]:
    """Name, true class, and whether that class was trained."""
    if isinstance(image, Path):
        return str(image), None, None
    label = int(subject.benchmark.labels[image])
    return (
        subject.benchmark.images[image],
        subject.benchmark.classes[label],
        bool(label in subject.split.seen_classes),
    )


def _plain(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
