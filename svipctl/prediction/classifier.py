"""Naming the class of any number of pictures, with the reasons, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.images import Normalisation, Transform, decode
from svipctl.device import autocast
from svipctl.errors import CheckFailed, DataError
from svipctl.model.classification import class_scores, normalise_class_attributes
from svipctl.model.svip import SVIP
from svipctl.prediction.candidates import Candidates

_READERS = 2


@dataclass(frozen=True)
class Reason:
    """How much an attribute lifts a class above the mean of the other candidates, in units of the class score.

    The sum over all attributes is the class's score minus that mean, before gamma.
    """

    attribute: str
    weight: float


@dataclass(frozen=True)
class Answer:
    """One class proposed for an image."""

    name: str
    score: float
    """Cosine (or dot product, as the recipe says), minus gamma for a class that was trained."""
    speaks_for: tuple[Reason, ...]
    """Attributes that lift the class most, greatest first."""
    speaks_against: tuple[Reason, ...]
    """Attributes that lower it most, worst first."""


@dataclass(frozen=True)
class Named:
    """The answers for one image."""

    image: Path
    answers: tuple[Answer, ...]
    """Best first."""
    kept: NDArray[np.bool_]
    """(rows, columns) of windows: those that the patch classifier calls related to the object."""


@dataclass(frozen=True)
class Unreadable:
    """An image that gave no answer."""

    image: Path
    error: DataError


@dataclass(frozen=True)
class Classifier:
    """A model and the classes it chooses from."""

    model: SVIP
    attributes: Sequence[str]
    transform: Transform
    normalise: Normalisation
    candidates: Candidates
    gamma: float
    device: torch.device
    dtype: torch.dtype
    batch_size: int = 64
    top: int = 5
    reasons: int = 3
    """Attributes named for and against each answer, at most."""

    def classify(self, images: Iterable[Path]) -> Iterator[Named | Unreadable]:
        """Answers in the order of the images; what is held at a time does not grow with their number.

        Raises:
            CheckFailed: The model's output is not finite.

        """
        self.model.eval()
        with ThreadPoolExecutor(_READERS) as pool:
            waiting: deque[tuple[Path, Future[Tensor]]] = deque()
            coming = iter(images)
            try:
                while True:
                    # One batch is read while the one before it is computed.
                    for path in islice(coming, 2 * self.batch_size - len(waiting)):
                        waiting.append((path, pool.submit(self._read, path)))
                    if not waiting:
                        return
                    yield from self._answer_batch(
                        [waiting.popleft() for _ in range(min(self.batch_size, len(waiting)))]
                    )
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, path: Path) -> Tensor:
        return self.transform(decode(path, upright=True))

    def _answer_batch(self, batch: list[tuple[Path, Future[Tensor]]]) -> Iterator[Named | Unreadable]:
        read: dict[int, Tensor] = {}
        failed: dict[int, DataError] = {}
        for position, (_, pixels) in enumerate(batch):
            try:
                read[position] = pixels.result()
            except DataError as error:
                failed[position] = error
        answers = self._predict(torch.stack(list(read.values()))) if read else iter(())
        for position, (path, _) in enumerate(batch):
            if position in failed:
                yield Unreadable(path, failed[position])
            else:
                named, kept = next(answers)
                yield Named(path, named, kept)

    def _predict(self, images: Tensor) -> Iterator[tuple[tuple[Answer, ...], NDArray[np.bool_]]]:
        """uint8 (B, 3, size, size) to the answers and the kept windows of each."""
        with torch.inference_mode(), autocast(self.dtype, self.device):
            prediction = self.model.predict(self.normalise(images.to(self.device)))
        if not torch.isfinite(prediction.attributes).all():
            raise CheckFailed(
                "the model predicts attributes that are not finite numbers",
                why="its training diverged, or half precision overflowed",
                todo="try --precision fp32, or use another run",
            )
        predicted = prediction.attributes.double().cpu()
        recipe, grid = self.model.recipe, self.model.grid
        table = normalise_class_attributes(
            torch.from_numpy(self.candidates.class_attributes), recipe.class_norm_epsilon
        )
        scores = class_scores(predicted, table, recipe.class_score)
        calibrated = scores - self.gamma * torch.from_numpy(self.candidates.seen)
        kept = prediction.related.cpu()
        rows, columns = grid.rows // grid.side, grid.columns // grid.side
        length = predicted.norm(dim=-1, keepdim=True).clamp_min(1e-12) if recipe.class_score == "cosine" else 1.0
        for vector, row, windows in zip(predicted / length, calibrated, kept):
            best = row.topk(min(self.top, len(row))).indices.tolist()
            answers = tuple(self._answer(vector, table, row, label) for label in best)
            yield answers, windows.reshape(rows, columns).numpy()

    def _answer(self, predicted: Tensor, table: Tensor, scores: Tensor, label: int) -> Answer:
        others = (table.sum(dim=0) - table[label]) / max(len(table) - 1, 1)
        weights = (predicted * (table[label] - others)).numpy()
        order = np.argsort(-weights, kind="stable")
        strongest = [Reason(self.attributes[k], float(weights[k])) for k in order[: self.reasons] if weights[k] > 0]
        weakest = [Reason(self.attributes[k], float(weights[k])) for k in order[::-1][: self.reasons] if weights[k] < 0]
        return Answer(self.candidates.classes[label], float(scores[label]), tuple(strongest), tuple(weakest))
