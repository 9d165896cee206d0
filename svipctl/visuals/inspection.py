"""What the model makes of each image, as values: everything that the figures of images show.

Any number of images is looked at in one pass, a few at a time; nothing is kept of those that were handed on.
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
from svipctl.datasets.objects import object_mask
from svipctl.device import choose_dtype, use_device
from svipctl.errors import DataError
from svipctl.evaluation.selection import BACKGROUND_SHARE, selection_quality
from svipctl.evaluation.truth import ObjectTruth, object_truth
from svipctl.inference.answers import Answer, AnswerMaker
from svipctl.inference.class_table import ClassTable
from svipctl.inference.images import read_batches
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
    """Of the run: the proposed one, or its fold, of which `test` are then the validation images."""
    answer_maker: AnswerMaker

    def inspect(self, images: Sequence[int | Path]) -> Iterator[Inspection]:
        """Yield inspections of images, in their order; a few are computed at a time.

        Args:
            images: Numbers of the data set's images, or files of your own.

        Raises:
            DataError: An image does not decode.
            CheckFailed: The model's output is not finite.
            ConfigError: The recipe takes the selection from masks, and an image is your own.

        """
        files = [image if isinstance(image, Path) else self.benchmark.image_path(image) for image in images]
        upright = any(isinstance(image, Path) for image in images)
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
        shape = grid.window_shape
        objects = [self._object(image) for image in images]
        known = [one[1].shares.ravel() for one in objects if one is not None]
        coverage = None
        if recipe.selection == "object" and len(known) == len(images):
            coverage = torch.from_numpy(np.stack(known).astype(np.float32))
        with self.model.inference():
            inputs = self.model.inputs(torch.stack(pixels))
            prediction = network.predict(inputs, coverage=coverage)
            scores, attention = network.source_attention(inputs)
        answers = self.answer_maker.answers(check_finite(prediction.attributes.double().cpu()))
        unrelated = _plain(prediction.unrelated)
        kept = prediction.related.cpu().numpy()
        attributes, windows = _plain(prediction.attributes), _plain(prediction.windows)
        maps, layers = _plain(scores), _plain(attention)
        selects, localizes = recipe.passes == "both", recipe.head == "windows"
        for position, image in enumerate(images):
            name, true_class, is_seen = self._truth(image)
            truth, mask, shares, quality = None, None, None, {}
            one = objects[position]
            if one is not None:
                truth, mask, shares = one[1].source, one[0], one[1].shares.reshape(shape).astype(np.float32)
                if selects:
                    row = unrelated[position : position + 1].astype(np.float64)
                    quality = selection_quality(row, one[1].shares < BACKGROUND_SHARE, grid.windows - network.keep)
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
                windows=windows[position].reshape(*shape, -1) if localizes else None,
                truth=truth,
                mask=mask,
                shares=shares,
                auc=quality.get("auc"),
            )

    def _object(self, image: int | Path) -> tuple[NDArray[np.bool_], ObjectTruth] | None:
        """Return the object's mask (size, size) and its share of the windows, if masks or boxes say where it is."""
        if isinstance(image, Path):
            return None
        geometry, shape = self.model.geometry, self.model.network.grid.window_shape
        truth = object_truth(self.benchmark, np.array([image]), geometry, shape)
        return None if truth is None else (object_mask(self.benchmark, image, geometry), truth)

    def _truth(self, image: int | Path) -> tuple[str, str | None, bool | None]:
        """Return the name, the true class, and whether that class is seen."""
        if isinstance(image, Path):
            return str(image), None, None
        label = int(self.benchmark.labels[image])
        name, true_class = self.benchmark.images[image], self.benchmark.classes[label]
        return name, true_class, bool(label in self.split.seen_classes)


def open_inspector(run: Run, benchmark: Benchmark, settings: Settings, *, top: int = 3, reasons: int = 4) -> Inspector:
    """Load a run's best checkpoint to inspect images.

    Args:
        run: A run of that data set.
        benchmark: With the same classes and attributes as in training.
        settings: Device and precision.
        top: Classes named for an image.
        reasons: Attributes named for a class.

    Raises:
        ConfigError: The run is a baseline.
        DataError: The checkpoint is missing or damaged, or the run is one of another data set.

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
    """Return an inspector that answers among the classes of a split; arguments as of `open_inspector`."""
    names = [benchmark.classes[label] for label in split.classes]
    seen = np.array([name in model.seen_classes for name in names], dtype=bool)
    classes = ClassTable(tuple(names), benchmark.class_attributes[split.classes], seen)
    answer_maker = AnswerMaker(benchmark.attributes, classes, gamma, model.network.recipe, top, reasons)
    return Inspector(model, benchmark, split, answer_maker)


def evaluated_selection(run: Run, epoch: int) -> dict[str, float]:
    """Return `auc` and `images` of the patch classifier against masks or boxes, as `svipctl eval` recorded them.

    Args:
        run: Whose `eval/metrics.json` is read.
        epoch: Of the checkpoint; empty if another one was evaluated, or none.

    Raises:
        DataError: The document is damaged.

    """
    document = run.read_json("eval/metrics.json") or {}
    selection = document.get("selection", {})
    try:
        truth = selection.get("mask") or selection.get("box")
        if document.get("epoch") != epoch or not truth:
            return {}
        return {"auc": float(truth["auc"]), "images": sum(document["images"].values())}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(
            f"{run.folder / 'eval' / 'metrics.json'} is damaged", why=str(error), todo="run `svipctl eval` again"
        ) from error


def _plain(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
