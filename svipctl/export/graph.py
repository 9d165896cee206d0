"""The network as one function of pixels, a class table and gamma, as it is shipped."""

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
    """How an exported file takes images: RGB, (B, 3, H, W)."""

    kind: PixelKind = "uint8"
    """0..255 in bytes, or 0..1 in float32."""
    resize: bool = False
    """Any height and width, resized and cropped inside; otherwise the caller gives the network's own size."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the tensor."""
        return torch.uint8 if self.kind == "uint8" else torch.float32

    def of_bytes(self, images: Tensor) -> Tensor:
        """uint8 pixels as this input takes them."""
        return images if self.kind == "uint8" else images.float() / _BYTE


class ShippedGraph(nn.Module):
    """Everything between raw pixels and class scores.

    The class table and gamma are inputs, so that classes can be exchanged without touching the file.
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
            model: In fp32; stays as it is.
            mean: Of the normalisation, of pixels in 0..1.
            std: The same.
            size: Side of the network's input.
            pixels: How images come in.
            precision: `fp16` computes the transformer blocks in half precision; what selects windows and what scores
                stays in fp32, because a rounded ranking would choose other windows. `int8` is made of fp32 afterwards.

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
            images: RGB as `pixels` says: (B, 3, H, W).
            class_attributes: float32 (C, K), rows in the range of the training table, not normalised.
            gamma: float32 (C,), subtracted from the score of each class: 0 for classes that were not trained.

        Returns:
            Class scores (B, C), predicted attributes (B, K), and the probability that a window shows something of
            the object (B, windows).

        """
        prediction = self.model.predict((self._shares(images) - self.mean) / self.std)
        scores = self.model.scorer(prediction.attributes, class_attributes) - gamma
        return scores, prediction.attributes, 1 - prediction.unrelated

    def _shares(self, images: Tensor) -> Tensor:
        """Pixels as they come to 0..1 in the network's size."""
        if self.pixels.resize:
            levels = images.float() if self.pixels.kind == "uint8" else torch.round(images * _BYTE)
            return resize_and_crop(levels, self.size) / _BYTE
        return images.float() / _BYTE if self.pixels.kind == "uint8" else images


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.to(self.dtype)


def _halve_blocks(model: SVIP) -> None:
    vit = model.backbone
    cast(nn.Module, vit.blocks).half()
    vit.norm_pre = nn.Sequential(vit.norm_pre, _Cast(torch.float16))
    vit.norm = nn.Sequential(_Cast(torch.float32), vit.norm)
