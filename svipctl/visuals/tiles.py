"""Draw the parts of sheets: images, maps over them, outlines, and text, placed in inches from the top left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from svipctl.quoting import printable_line
from svipctl.visuals.style import LARGE, NORMAL, SEQUENTIAL, SMALL, new_figure
from svipctl.visuals.text import fitted, text_width, wrapped

WIDTH, MARGIN = 7.5, 0.2
INNER = WIDTH - 2 * MARGIN
"""Inches of a sheet from its left to its right margin."""
_VEIL = "#8a8f98"
_OPACITY = 0.75  # of the highest value of a map over an image
LINE = 0.165
"""Height of a line of small text, inches."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of a sheet for an image and for what is drawn over it, in inches."""

    canvas: Axes
    x: float
    y: float
    width: float
    height: float

    def picture(self, pixels: NDArray[np.uint8]) -> None:
        """Draw an image as the model's input; its pixels stay sharp squares."""
        self._draw(pixels)

    def heat(self, values: NDArray[np.floating[Any]], limits: tuple[float, float] | None = None) -> None:
        """Draw a map of windows in the colours of magnitude, from the lowest to the highest value or within limits."""
        lowest, highest = limits or (float(values.min()), float(values.max()))
        self._draw(values, cmap=SEQUENTIAL, vmin=lowest, vmax=max(highest, lowest + 1e-12))

    def outline(self, cells: NDArray[np.bool_], colour: str) -> None:
        """Draw the border between cells (rows, columns) that are True and False."""
        y = self.y + np.arange(cells.shape[0] + 1) * (self.height / cells.shape[0])
        x = self.x + np.arange(cells.shape[1] + 1) * (self.width / cells.shape[1])
        below, right = np.argwhere(cells[1:] != cells[:-1]), np.argwhere(cells[:, 1:] != cells[:, :-1])
        lines = [[(x[column], y[row + 1]), (x[column + 1], y[row + 1])] for row, column in below]
        lines += [[(x[column + 1], y[row]), (x[column + 1], y[row + 1])] for row, column in right]
        border = LineCollection(lines, colors=colour, linewidths=1.4, capstyle="projecting")
        self.canvas.add_collection(border, autolim=False)
        border.set_clip_path(self._rectangle(transform=self.canvas.transData))

    def contour(self, mask: NDArray[np.bool_] | None, width: float = 0.9) -> None:
        """Draw the border of a mask (H, W), if there is one, in white and black, so that it is visible on every
        image.
        """
        if mask is not None and mask.any() and not mask.all():
            x = self.x + (np.arange(mask.shape[1]) + 0.5) / mask.shape[1] * self.width
            y = self.y + (np.arange(mask.shape[0]) + 0.5) / mask.shape[0] * self.height
            for colour, line in (("black", width + 1.2), ("white", width)):
                self.canvas.contour(x, y, mask.astype(float), levels=[0.5], colors=[colour], linewidths=line)

    def ring(self, row: int, column: int, shape: tuple[int, int]) -> None:
        """Draw a ring around the centre of a window of a grid."""
        centre = self.x + (column + 0.5) / shape[1] * self.width, self.y + (row + 0.5) / shape[0] * self.height
        for colour, line in (("black", 2.6), ("white", 1.3)):
            self.canvas.plot(*centre, "o", ms=7, mfc="none", mec=colour, mew=line)

    def frame(self, colour: str) -> None:
        """Draw a frame around the picture."""
        self.canvas.add_patch(self._rectangle(fill=False, edgecolor=colour, linewidth=2.0))

    def _rectangle(self, **look: Any) -> Rectangle:
        return Rectangle((self.x, self.y), self.width, self.height, **look)

    def _draw(self, values: NDArray[Any], **look: Any) -> None:
        extent = (self.x, self.x + self.width, self.y + self.height, self.y)
        self.canvas.imshow(values, extent=extent, aspect="auto", interpolation="nearest", **look)


class Sheet:
    """A figure whose parts are positioned in inches from its top left corner.

    Attributes:
        figure: The figure.
        canvas: The whole figure, in inches, y down. One for all images, because creating axes is slow.

    """

    def __init__(self, width: float, height: float) -> None:
        """Create an empty sheet, sizes in inches."""
        self.width, self.height = width, height
        self.figure = new_figure(width, height)
        self.figure.set_layout_engine("none")
        self.canvas = self.figure.add_axes((0, 0, 1, 1))
        self.canvas.set_axis_off()
        self.canvas.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)

    @classmethod
    def headed(cls, title: str, sentences: str, height: float) -> tuple[Sheet, float]:
        """Return a sheet with a title and, below it, sentences about all of it.

        Args:
            title: Its first line is shortened to the width; others are wrapped below, after the sentences.
            sentences: Sentences, wrapped.
            height: Inches below the sentences.

        Returns:
            The sheet, and the y of the first inch below the sentences.

        """
        title, *notes = title.splitlines()
        lines = [line for text in (sentences, *notes) for line in wrapped(text, INNER)]
        top = 0.46 + len(lines) * LINE
        sheet = cls(WIDTH, top + height)
        sheet.text(MARGIN, 0.14, title, size=LARGE, weight="bold", room=INNER)
        for number, line in enumerate(lines):
            sheet.text(MARGIN, 0.38 + number * LINE, line, size=NORMAL)
        return sheet, top

    def tile(self, x: float, y: float, width: float, height: float | None = None) -> Tile:
        """Return the tile at a position, square unless it has a height."""
        return Tile(self.canvas, x, y, width, width if height is None else height)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SMALL,
        room: float = 0.0,
        weight: str = "normal",
        color: str | None = None,
        muted: bool = False,
        ha: Literal["left", "center", "right"] = "left",
    ) -> None:
        """Write a line of text, its top at y; shortened if it has less room, in inches, than it needs."""
        if room:
            text = fitted(text, room, size, weight)
        colour = color or _ink(0.62 if muted else 1.0)
        place = x / self.width, 1 - y / self.height
        self.figure.text(*place, printable_line(text), fontsize=size, va="top", ha=ha, weight=weight, color=colour)


def tile_side(tiles: int, gap: float, room: float = INNER) -> float:
    """Return the side of each of some tiles, in inches, that fill the room with gaps between them."""
    return (room - (tiles - 1) * gap) / tiles


def overlay(pixels: NDArray[np.uint8], values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return a grey image with the map over it, enlarged smoothly: low values are more transparent.

    Args:
        pixels: (H, W, 3).
        values: (rows, columns), scaled to its own range.

    """
    height, width = pixels.shape[:2]
    span = float(values.max() - values.min())
    scaled = (values - values.min()) / span if span > 0 else np.zeros_like(values)
    small = Image.fromarray(scaled.astype(np.float32))
    large = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    grey = np.repeat(pixels @ np.array([0.299, 0.587, 0.114]), 3).reshape(height, width, 3)
    coloured = matplotlib.colormaps["inferno"](large)[..., :3] * 255
    share = _OPACITY * large[..., None] ** 2
    mixed: NDArray[np.float64] = (1 - share) * (0.35 * 255 + 0.6 * grey) + share * coloured
    return mixed.clip(0, 255).astype(np.uint8)


def faded(pixels: NDArray[np.uint8], shown: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return the image with a grey, between a light and a dark page, over the parts that are not shown.

    Args:
        pixels: (H, W, 3).
        shown: (rows, columns) of windows or of pixels; None for all of them.

    """
    if shown is None:
        return pixels
    height, width = pixels.shape[:2]
    rows = (np.arange(height) * shown.shape[0]) // height
    columns = (np.arange(width) * shown.shape[1]) // width
    hidden = 0.08 * pixels + 0.92 * np.array(to_rgb(_VEIL)) * 255
    return np.where(shown[rows][:, columns, None], pixels, hidden).astype(np.uint8)


def scale(sheet: Sheet, right: float, y: float, low: str, high: str) -> None:
    """Draw the scale of the colours of magnitude: a strip with a word at either end, up to `right`."""
    x = right - text_width(high) - 0.65
    sheet.tile(x, y + 0.02, 0.6, 0.1).heat(np.linspace(0, 1, 64)[None])
    sheet.text(x - 0.05, y, low, ha="right")
    sheet.text(right, y, high, ha="right")


def _ink(share: float) -> tuple[float, ...]:
    """Return the theme's colour of text, mixed with that of its paper."""
    ink, paper = (np.array(to_rgb(matplotlib.rcParams[name])) for name in ("text.color", "figure.facecolor"))
    return tuple(share * ink + (1 - share) * paper)
