"""Inspect images: compute the answers, the attributes and the maps of a model that figures show.

Images are inspected in one pass, a few at a time; memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import Pixels
from svipctl.datasets.object_masks import object_mask
from svipctl.device import choose_dtype, use_device
from svipctl.errors import DataError
from svipctl.evaluation.selection_quality import BACKGROUND_SHARE, selection_quality
from svipctl.evaluation.truth import object_truth
from svipctl.inference.answers import Answer, AnswerMaker
from svipctl.inference.class_table import ClassTable
from svipctl.inference.image_sources import read_batches
from svipctl.inference.load import load_run
from svipctl.inference.network import check_same_benchmark
from svipctl.inference.trained_model import TrainedModel, check_finite
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings

_BATCH = 16

Map = NDArray[np.float32]
"""(rows, columns) of windows or patches."""


@dataclass(frozen=True)
class Inspection:
    """One image. Maps are (rows, columns) of windows unless noted."""

    name: str
    pixels: Pixels
    """(size, size, 3) input of the model, before normalisation."""
    grid: tuple[int, int]
    """Rows and columns of windows."""
    answers: tuple[Answer, ...]
    """Ranked classes, best first."""
    attributes: Map
    """(K,) predicted."""
    scores: Map | None
    """Score that ranks the windows in the source pass, attention rollout in most recipes; high is related. None if it
    comes from attention and the backbone has no blocks."""
    attention: NDArray[np.float32]
    """(blocks, patch rows, patch columns): the class token's attention in each block of the source pass, head mean."""
    related: Map | None
    """The patch classifier's probability that the window is related; None in recipes without a selection."""
    kept: NDArray[np.bool_] | None
    """True for related windows; None in recipes without a selection."""
    windows: NDArray[np.float32] | None
    """(rows, columns, K), the attribute head on each window, or with attention per attribute what each window contributes;
    None if it reads the class token."""
    true_class: str | None = None
    """Name of the true class; None for your own image."""
    is_seen: bool | None = None
    """True if the true class is seen."""
    truth: Literal["mask", "box"] | None = None
    """Source of the mask."""
    mask: NDArray[np.bool_] | None = None
    """(size, size) mask of the object, from a mask or a filled box; None without either."""
    shares: NDArray[np.float64] | None = None
    """Share of each window that shows the object."""
    auc: float | None = None
    """AUC of the patch classifier against the background, percent (`svipctl eval`: selection); None if undefined."""

    @property
    def label(self) -> str:
        """The true class, or the name of an image without one."""
        return self.true_class or self.name

    @property
    def answer(self) -> str:
        """Best class of the model."""
        return self.answers[0].name

    @property
    def is_right(self) -> bool | None:
        """True if the answer is the true class."""
        return None if self.true_class is None else self.answer == self.true_class

    def extremes(self, attribute: int) -> dict[str, Any]:
        """Return the lowest and highest value of an attribute's map, and row and column of its peak."""
        assert self.windows is not None
        values = self.windows[:, :, attribute]
        peak = divmod(int(values.argmax()), values.shape[1])
        return {"lowest": float(values.min()), "highest": float(values.max()), "peak": list(peak)}


@dataclass(frozen=True)
class Inspector:
    """A run's model and data set, ready to inspect images."""

    model: TrainedModel
    benchmark: Benchmark
    split: Split
    """The split of the run: the proposed one, or its fold, whose `test` images are then the validation images."""
    answer_maker: AnswerMaker

    def inspect(self, images: Sequence[int | Path]) -> Iterator[Inspection]:
        """Yield inspections of images, in their order; a few are computed at a time.

        Args:
            images: Indices of the data set's images, or your own files.

        Raises:
            DataError: An image does not decode.
            CheckFailed: The model's output is not finite.
            ConfigError: The recipe uses the masks of the data set, and an image is your own.

        """
        files = [image if isinstance(image, Path) else self.benchmark.image_path(image) for image in images]
        upright = self.benchmark.upright or any(isinstance(image, Path) for image in images)
        done = 0
        for batch in read_batches(files, self.model.transform, _BATCH, upright=upright):
            pixels = []
            for _, one in batch:
                if isinstance(one, DataError):
                    raise one
                pixels.append(one)
            yield from self._inspect_batch(images[done : done + len(batch)], pixels)
            done += len(batch)

    def _inspect_batch(self, images: Sequence[int | Path], pixels: list[Tensor]) -> Iterator[Inspection]:
        network = self.model.network
        grid, recipe = network.grid, network.recipe
        shape = (-1, *grid.window_shape)
        truths = [self._truth(image) for image in images]
        shares = [one["shares"].ravel() for one in truths if "shares" in one]
        coverage = None
        if recipe.selection == "object" and len(shares) == len(images):
            coverage = torch.from_numpy(np.stack(shares).astype(np.float32))
        with self.model.inference():
            inputs = self.model.inputs(torch.stack(pixels))
            prediction = network.predict(inputs, coverage=coverage)
            scores, attention = network.source_attention(inputs)
        answers = self.answer_maker.answers(check_finite(prediction.attributes.double().cpu()))
        unrelated, attributes = _plain(prediction.unrelated), _plain(prediction.attributes)
        kept, windows = prediction.related.cpu().numpy().reshape(shape), _plain(prediction.windows)
        selects, localizes = recipe.passes == "both", recipe.head != "class-token"
        for position, truth in enumerate(truths):
            quality = {}
            if selects and "shares" in truth:
                background = truth["shares"].reshape(1, -1) < BACKGROUND_SHARE
                row = unrelated[position : position + 1].astype(np.float64)
                quality = selection_quality(row, background, grid.windows - network.keep)
            yield Inspection(
                **truth,
                pixels=pixels[position].permute(1, 2, 0).numpy(),
                grid=grid.window_shape,
                answers=answers[position],
                attributes=attributes[position],
                scores=None if scores is None else _plain(scores).reshape(shape)[position],
                attention=_plain(attention[position]).reshape(-1, grid.rows, grid.columns),
                related=1 - unrelated.reshape(shape)[position] if selects else None,
                kept=kept[position] if selects else None,
                windows=windows[position].reshape(*grid.window_shape, -1) if localizes else None,
                auc=quality.get("auc"),
            )

    def _truth(self, image: int | Path) -> dict[str, Any]:
        """Return the entries of an inspection that are from the data set, not from the model."""
        if isinstance(image, Path):
            return {"name": str(image)}
        label = int(self.benchmark.labels[image])
        entries = {
            "name": self.benchmark.images[image],
            "true_class": self.benchmark.classes[label],
            "is_seen": bool(label in self.split.seen_classes),
        }
        geometry, shape = self.model.geometry, self.model.network.grid.window_shape
        truth = object_truth(self.benchmark, np.array([image]), geometry, shape)
        if truth is None:
            return entries
        mask = object_mask(self.benchmark, image, geometry)
        return {**entries, "truth": truth.source, "mask": mask, "shares": truth.shares.reshape(shape)}


def open_inspector(run: Run, benchmark: Benchmark, settings: Settings, *, top: int = 3, reasons: int = 4) -> Inspector:
    """Load a run's best checkpoint to inspect images.

    Args:
        run: A run of that data set.
        benchmark: With the same classes and attributes as in training.
        settings: Device and precision.
        top: Number of classes per image.
        reasons: Number of attributes per class.

    Raises:
        ConfigError: The run is a baseline.
        DataError: The checkpoint is missing or damaged, or the run is for another data set.

    """
    device = use_device(settings.gpu)
    model = load_run(run, device, choose_dtype(settings.precision, device))
    check_same_benchmark(model.metadata, benchmark)
    return new_inspector(
        model, benchmark, benchmark.split(run.settings().train.fold), model.gamma.value, top=top, reasons=reasons
    )


def new_inspector(
    model: TrainedModel, benchmark: Benchmark, split: Split, gamma: float, *, top: int, reasons: int
) -> Inspector:
    """Return an inspector for the classes of a split; same arguments as `open_inspector`."""
    names = [benchmark.classes[label] for label in split.classes]
    seen = np.array([name in model.seen_classes for name in names], dtype=bool)
    classes = ClassTable(tuple(names), benchmark.class_attributes[split.classes], seen)
    answer_maker = AnswerMaker(benchmark.attributes, classes, gamma, model.network.scorer, top, reasons)
    return Inspector(model, benchmark, split, answer_maker)


def evaluated_selection(run: Run, epoch: int) -> dict[str, float]:
    """Return `auc` and `images` of the patch classifier against masks or boxes, as `svipctl eval` recorded them.

    Args:
        run: Run of the `eval/metrics.json`.
        epoch: Epoch of the checkpoint; the result is empty if it was not evaluated.

    Raises:
        DataError: The document is damaged.

    """
    evaluation = run.evaluation(epoch)
    truth = (evaluation.selection.mask or evaluation.selection.box) if evaluation else None
    if evaluation is None or truth is None or truth.auc is None:
        return {}
    return {"auc": truth.auc, "images": sum(evaluation.images.values())}


def _plain(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
