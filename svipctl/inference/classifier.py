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
from svipctl.errors import DataError
from svipctl.model.fused_linear import KeptWeights
from svipctl.model.svip import SVIP
from svipctl.inference.answers import Answer, Answering
from svipctl.inference.class_table import Candidates

_READERS = 2


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
        weights = KeptWeights()
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
                    batch = [waiting.popleft() for _ in range(min(self.batch_size, len(waiting)))]
                    yield from self._answer_batch(batch, weights)
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, path: Path) -> Tensor:
        return self.transform(decode(path, upright=True))

    def _answer_batch(
        self, batch: list[tuple[Path, Future[Tensor]]], weights: KeptWeights
    ) -> Iterator[Named | Unreadable]:
        read: dict[int, Tensor] = {}
        failed: dict[int, DataError] = {}
        for position, (_, pixels) in enumerate(batch):
            try:
                read[position] = pixels.result()
            except DataError as error:
                failed[position] = error
        answers = self._predict(torch.stack(list(read.values())), weights) if read else iter(())
        for position, (path, _) in enumerate(batch):
            if position in failed:
                yield Unreadable(path, failed[position])
            else:
                named, kept = next(answers)
                yield Named(path, named, kept)

    def _predict(self, images: Tensor, weights: KeptWeights) -> Iterator[tuple[tuple[Answer, ...], NDArray[np.bool_]]]:
        """uint8 (B, 3, size, size) to the answers and the kept windows of each."""
        with torch.inference_mode(), autocast(self.dtype, self.device), weights.in_use():
            prediction = self.model.predict(self.normalise(images.to(self.device)))
        recipe = self.model.recipe
        answering = Answering(self.attributes, self.candidates, self.gamma, recipe, self.top, self.reasons)
        answers = answering.answers(prediction.attributes.double().cpu())
        for one, windows in zip(answers, prediction.related.cpu()):
            yield one, windows.reshape(self.model.grid.window_shape).numpy()
