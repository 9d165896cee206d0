"""Define the exported network as one function of pixels, a class table and gamma."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from svipctl.export.resize import resize_and_crop
from svipctl.model.svip import SVIP

ExportPrecision = Literal["fp32", "fp16", "int8"]
PixelKind = Literal["uint8", "float"]

INPUTS = ("images", "class_attributes", "gamma")
OUTPUTS = ("scores", "attributes", "patch_scores")
_BYTE = 255.0


@dataclass(frozen=True)
class Pixels:
    """Image input of an exported file: RGB, (B, 3, H, W)."""

    kind: PixelKind = "uint8"
    """Bytes 0..255, or float32 in 0..1."""
    resize: bool = False
    """Accept any height and width, and resize and crop in the graph; otherwise the input has the network's size."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the image tensor."""
        return torch.uint8 if self.kind == "uint8" else torch.float32

    def of_bytes(self, images: Tensor) -> Tensor:
        """Return uint8 pixels in the form of this input."""
        return images if self.kind == "uint8" else images.float() / _BYTE


class ExportGraph(nn.Module):
    """Everything between raw pixels and class scores.

    The class table and gamma are inputs, so that classes can be replaced without changing the file.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: SVIP,
        mean: Sequence[float],
        std: Sequence[float],
        size: int,
        pixels: Pixels,
        precision: ExportPrecision = "fp32",
    ) -> None:
        """Copy a model into a graph.

        Args:
            model: Model in fp32; it is not changed.
            mean: Mean of the normalization, for pixels in 0..1.
            std: Standard deviation of the normalization, for pixels in 0..1.
            size: Side of the network's input.
            pixels: Image input.
            precision: `fp16` computes the transformer blocks in half precision; window selection and class scores
                stay in fp32, because rounding could change the selected windows. `int8` is quantized from fp32
                afterwards.

        """
        super().__init__()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.pixels = pixels
        self.size = size
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        if precision == "fp16":
            _halve_blocks(self.model)

    def forward(self, images: Tensor, class_attributes: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classify.

        Args:
            images: RGB (B, 3, H, W), in the form of `pixels`.
            class_attributes: float32 (C, K), rows in the range of the training table, not normalized.
            gamma: float32 (C,), subtracted from the score of each class: 0 for unseen classes.

        Returns:
            Class scores (B, C), predicted attributes (B, K), and the probability that a window shows a part of
            the object (B, windows).

        """
        prediction = self.model.predict((self._shares(images) - self.mean) / self.std)
        scores = self.model.scorer(prediction.attributes, class_attributes) - gamma
        return scores, prediction.attributes, 1 - prediction.unrelated

    def _shares(self, images: Tensor) -> Tensor:
        """Return pixels in 0..1 in the network's size."""
        if self.pixels.resize:
            levels = images.float() if self.pixels.kind == "uint8" else torch.round(images * _BYTE)
            return resize_and_crop(levels, self.size) / _BYTE
        return images.float() / _BYTE if self.pixels.kind == "uint8" else images


def _halve_blocks(model: SVIP) -> None:
    """Compute the blocks in half precision; the casts around them are hooks, so that weights keep their names."""
    vit = model.backbone
    cast(nn.Module, vit.blocks).half()
    cast(nn.Module, vit.norm_pre).register_forward_hook(lambda module, given, tokens: tokens.half())
    cast(nn.Module, vit.norm).register_forward_pre_hook(lambda module, given: (given[0].float(),))
