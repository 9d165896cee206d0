"""Use a network on batches of pixels, with the normalization, device and arithmetic that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.device import autocast, explained_compiler_failure
from svipctl.errors import CheckFailed
from svipctl.inference.checkpoint import Metadata
from svipctl.model.svip import SVIP, Prediction

BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class ReadyNetwork:
    """A network with its metadata, device and arithmetic."""

    network: SVIP
    metadata: Metadata
    device: torch.device
    dtype: torch.dtype
    """Arithmetic of the network: float32 or bfloat16."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the K attributes."""
        return tuple(self.metadata.attributes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data set that the model was trained on, seen and unseen."""
        return tuple(self.metadata.classes)

    @property
    def seen_classes(self) -> tuple[str, ...]:
        """Names of the classes that the model was trained on."""
        return tuple(self.metadata.seen_classes)

    @cached_property
    def normalise(self) -> Normalisation:
        """The normalization of pixels."""
        return Normalisation(tuple(self.metadata.mean), tuple(self.metadata.std))

    @cached_property
    def transform(self) -> Transform:
        """Transform of evaluation: from an image of any size to uint8 (3, size, size)."""
        resize = self.metadata.resize
        return Transform(self.metadata.image_size, resize, test_resize=resize)

    @cached_property
    def geometry(self) -> Geometry:
        """The geometric part of `transform`."""
        return self.transform.training_geometry

    @contextmanager
    def inference(self) -> Iterator[SVIP]:
        """Yield the network in evaluation mode, without gradients, in the model's arithmetic.

        Keep the context open over many batches: autocast then converts the weights once. Do not change weights inside
        it.
        """
        was_training = self.network.training
        self.network.eval()
        try:
            with explained_compiler_failure("eval.compile"), torch.no_grad(), autocast(self.dtype, self.device):
                yield self.network
        finally:
            self.network.train(was_training)

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return the network's input for uint8 pixels (B, 3, size, size): normalized, on the model's device."""
        return self.normalise(pixels.to(self.device, non_blocking=True))

    def predict_pixels(self, pixels: Tensor, *, coverage: Tensor | None = None) -> Prediction:
        """Predict one batch.

        Args:
            pixels: uint8 (B, 3, size, size), from `transform`.
            coverage: (B, windows) share of each window that shows the object, for `method.selection = object`.

        """
        with self.inference() as network:
            return network.predict(self.inputs(pixels), coverage=coverage)


def check_finite(values: Tensor, what: str = "attributes") -> Tensor:
    """Return predicted attributes, or other values of a network, if they are finite.

    Raises:
        CheckFailed: A value is not finite.

    """
    if not torch.isfinite(values).all():
        raise CheckFailed(
            f"the model predicts {what} that are not finite numbers",
            why="the training diverged, or half precision overflowed",
            todo="try --precision fp32, or train again with a lower learning rate",
        )
    return values
