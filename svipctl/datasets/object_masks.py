"""Compute the share of each window of the network's input that a mask or a bounding box covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry, decode, image_size
from svipctl.datasets.published_pixels import scale_on_disk
from svipctl.errors import ConfigError, DataError

_WHITE = 128  # lowest value of a pixel of the object
_COLOUR = 32  # difference of the channels of a pixel that is not grey, even after lossy compression


@dataclass(frozen=True)
class Coverage:
    """Coverage of some images of a benchmark, in the geometry of the network's input."""

    indices: Indices
    """(n,) indices, ascending."""
    shares: NDArray[np.float32]
    """(n, rows, columns), 0 to 1."""

    def of(self, indices: Tensor, mirror: Tensor | None = None) -> Tensor:
        """Return coverage (B, rows * columns) of images by index (B,), mirrored where `mirror` (B,) is True."""
        shares = torch.from_numpy(self.shares[np.searchsorted(self.indices, indices.numpy())])
        if mirror is not None:
            shares = torch.where(mirror.view(-1, 1, 1), shares.flip(2), shares)
        return shares.flatten(1)


def object_coverage(benchmark: Benchmark, indices: Indices, geometry: Geometry, rows: int, columns: int) -> Coverage:
    """Return the share of each window that the object covers.

    Args:
        benchmark: Data set with masks or boxes; masks are preferred.
        indices: Indices of the images.
        geometry: The deterministic part of the transform, without random crops.
        rows: Rows of windows.
        columns: Columns of windows.

    Raises:
        ConfigError: The data set has neither.

    """
    check_objects(benchmark)
    chosen = np.unique(indices)
    shares = [window_shares(object_mask(benchmark, int(index), geometry), rows, columns) for index in chosen]
    return Coverage(chosen, np.array(shares, dtype=np.float32).reshape(-1, rows, columns))


def check_objects(benchmark: Benchmark) -> None:
    """Raise ConfigError unless the data set has masks or boxes."""
    if not benchmark.masks and benchmark.boxes is None:
        raise ConfigError(
            f"{benchmark.name} has neither masks nor boxes",
            why="method.selection = object needs a mask or a bounding box of every image",
            todo="choose another selection: --set method.selection=centre",
        )


def window_shares(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the share of each window that a mask covers: (H, W) -> (rows, columns)."""
    height, width = mask.shape
    edges_y = np.linspace(0, height, rows + 1).round().astype(int)
    edges_x = np.linspace(0, width, columns + 1).round().astype(int)
    covered = np.add.reduceat(np.add.reduceat(mask.astype(float), edges_y[:-1], axis=0), edges_x[:-1], axis=1)
    shares: NDArray[np.float64] = covered / np.outer(np.diff(edges_y), np.diff(edges_x))
    return shares


def object_mask(benchmark: Benchmark, index: int, geometry: Geometry) -> NDArray[np.bool_]:
    """Return the mask (H, W) of the object in the network's input, from its mask or its box.

    A box becomes a filled rectangle in an image of the size on the disk.

    Raises:
        DataError: The mask, or the image whose size a box needs, is missing or does not decode; or the mask does not
            fit the image, or is not white on black.

    """
    width, height = image_size(benchmark.image_path(index), upright=benchmark.upright)
    if benchmark.masks:
        file = benchmark.masks[index]
        mask = decode(benchmark.root / file, on_black=True)
        rounding = (width + height + mask.width + mask.height) / 2  # of the sides to whole pixels
        if abs(mask.width * height - mask.height * width) > rounding:
            raise DataError(
                f"mask {file} does not fit its image",
                why=f"the upright image has {width} x {height} pixels, the mask {mask.width} x {mask.height}",
                todo="make the mask in the proportions of the image, rotated by the EXIF orientation of its photograph",
            )
        red, green, blue = np.moveaxis(np.asarray(mask), 2, 0)
        # np.ptp over three channels takes 20 times as long.
        difference = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        is_grey, brightest = difference.max() <= _COLOUR, int(red.max())
        if not is_grey or brightest < _WHITE:
            dark = f"its brightest pixel is {brightest}; pixels of the object have {_WHITE} to 255"
            raise DataError(
                f"mask {file} does not show the object",
                why=dark if is_grey else "it is a color image",
                todo="draw the object in white (255) on black",
            )
        if mask.size != (width, height):
            mask = mask.resize((width, height))  # a resize that depends on the size must treat both alike
    else:
        assert benchmark.boxes is not None
        mask = Image.new("RGB", (width, height))
        box = benchmark.boxes[index] * scale_on_disk(benchmark, mask.size)
        left, top, wide, high = (round(float(value)) for value in box)
        mask.paste((255, 255, 255), (left, top, left + wide, top + high))
    inside: NDArray[np.bool_] = geometry(mask)[..., 0] >= _WHITE
    return inside
