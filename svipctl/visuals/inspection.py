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
from svipctl.errors import DataError
from svipctl.evaluation.selection_quality import BACKGROUND_SHARE, selection_quality
from svipctl.evaluation.truth import object_truth
from svipctl.inference.answers import Answer, AnswerMaker
from svipctl.inference.class_table import ClassTable
from svipctl.inference.image_sources import read_batches
from svipctl.inference.network import check_same_benchmark
from svipctl.inference.ready_network import check_finite
from svipctl.inference.trained_model import TrainedModel
from svipctl.runs.run import Run
from svipctl.types import ProgressCallback

_BATCH = 16

Map = NDArray[np.float32]
"""(rows, columns) of windows or patches."""


@dataclass(frozen=True)
class Inspection:
    """One image. Maps are (rows, columns) of windows unless noted."""

    name: str
    pixels: Pixels
    """(size, size, 3) input of the model, before normalization."""
    grid: tuple[int, int]
    """Rows and columns of windows."""
    answer: Answer
    """Best class of the model."""
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
    def is_right(self) -> bool | None:
        """True if the answer is the true class."""
        return None if self.true_class is None else self.answer.name == self.true_class

    def document(self) -> dict[str, Any]:
        """Return the image's entry of a figure's document."""
        return {
            "image": self.name,
            "class": self.true_class,
            "seen": self.is_seen,
            "answer": self.answer.name,
            "kept": None if self.kept is None else np.argwhere(self.kept).tolist(),
            "grid": list(self.grid),
            "auc": self.auc,
        }

    def extremes(self, attribute: int) -> dict[str, Any]:
        """Return the lowest and highest value of an attribute's map, and row and column of its peak."""
        assert self.windows is not None
        values = self.windows[:, :, attribute]
        peak = divmod(int(values.argmax()), values.shape[1])
        return {"lowest": float(values.min()), "highest": float(values.max()), "peak": list(peak)}


class Inspector:
    """A model and its data set, ready to inspect images."""

    def __init__(
        self,
        model: TrainedModel,
        benchmark: Benchmark,
        *,
        reasons: int = 4,
        split: Split | None = None,
        gamma: float | None = None,
    ) -> None:
        """Prepare a model to answer among the classes of a split.

        Args:
            model: The model.
            benchmark: With the same classes and attributes as in training.
            reasons: Number of attributes for and against the answer.
            split: The split of the model's run by default: the proposed one, or its fold, whose `test` images are then
                the validation images.
            gamma: Subtracted from the scores of seen classes; by default the gamma of predictions.

        Raises:
            DataError: The model is for another data set.

        """
        check_same_benchmark(model.metadata, benchmark)
        self.model, self.benchmark = model, benchmark
        self.split = split or benchmark.split(model.run.settings().train.fold if model.run else None)
        names = benchmark.names_of(self.split.classes)
        seen = np.array([name in model.seen_classes for name in names], dtype=bool)
        classes = ClassTable(tuple(names), benchmark.class_attributes[self.split.classes], seen)
        gamma = model.gamma.value if gamma is None else gamma
        self._maker = AnswerMaker(benchmark.attributes, classes, gamma, model.network.scorer, top=1, reasons=reasons)

    def inspect(self, images: Sequence[int | Path], progress: ProgressCallback | None = None) -> Iterator[Inspection]:
        """Yield inspections of images, in their order; a few are computed at a time.

        Args:
            images: Indices of the data set's images, or your own files.
            progress: Called with images done and images in total.

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
            for inspection in self._inspect_batch(images[done : done + len(batch)], pixels):
                done += 1
                if progress:
                    progress(done, len(images))
                yield inspection

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
        answers = self._maker.answers(check_finite(prediction.attributes.double().cpu()))
        unrelated, windows = _plain(prediction.unrelated), _plain(prediction.windows)
        kept = prediction.related.cpu().numpy().reshape(shape)
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
                answer=answers[position][0],
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
