"""Parts of which sheets are made: pictures, maps over them, outlines, and text placed in inches from the top left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray
from PIL import Image

from svipctl.visuals.style import LARGE, NORMAL, SEQUENTIAL, SMALL, new_figure

MARGIN = 0.2
LINE = 0.165
"""Height of a line of small text, inches."""


@dataclass(frozen=True)
class Sheet:
    """A figure whose parts are placed by hand; places are inches from its top left corner."""

    figure: Figure
    width: float
    height: float

    @classmethod
    def of(cls, width: float, height: float) -> Sheet:
        """An empty one, sizes in inches."""
        figure = new_figure(width, height)
        figure.set_layout_engine("none")
        return cls(figure, width, height)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """A bare place for a picture."""
        axes = self.figure.add_axes(
            (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        )
        axes.set_axis_off()
        return axes

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
        ha: Literal["left", "center", "right"] = "left",
    ) -> None:
        """A line of text, its top at y; shortened where it has less room, in inches, than it needs."""
        if room:
            text = fitted(text, room, size, weight)
        colour = color or matplotlib.rcParams["text.color"]
        place = x / self.width, 1 - y / self.height
        self.figure.text(*place, text, fontsize=size, va="top", ha=ha, weight=weight, color=colour)

    def head(self, title: str, lines: tuple[str, ...], *, y: float = 0.14) -> None:
        """The title and what is to be said of the whole sheet."""
        self.text(MARGIN, y, title, size=LARGE, weight="bold", room=self.width - 2 * MARGIN)
        for number, line in enumerate(lines):
            self.text(MARGIN, y + 0.24 + number * LINE, line, size=NORMAL, room=self.width - 2 * MARGIN)


def head_height(lines: int) -> float:
    """Inches that a head with so many lines takes."""
    return 0.46 + lines * LINE


def picture(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    """An image as the model saw it; its pixels stay sharp squares."""
    axes.imshow(pixels, interpolation="nearest", aspect="equal")


def heat(axes: Axes, values: NDArray[np.floating[Any]], lowest: float, highest: float) -> None:
    """A map of windows in the colours of magnitude."""
    axes.imshow(values, cmap=SEQUENTIAL, vmin=lowest, vmax=max(highest, lowest + 1e-12), interpolation="nearest")


def overlay(
    pixels: NDArray[np.uint8], values: NDArray[np.floating[Any]], *, strength: float = 0.75
) -> NDArray[np.uint8]:
    """A grey image with the map over it, enlarged smoothly: the lower a value, the less of the map is seen.

    Args:
        pixels: (H, W, 3).
        values: (rows, columns), scaled to its own range.
        strength: How much of the image the highest value hides, 0 to 1.

    """
    height, width = pixels.shape[:2]
    span = float(values.max() - values.min())
    scaled = (values - values.min()) / span if span > 0 else np.zeros_like(values)
    small = Image.fromarray(scaled.astype(np.float32))
    large = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    grey = np.repeat(pixels @ np.array([0.299, 0.587, 0.114]), 3).reshape(height, width, 3)
    coloured = matplotlib.colormaps["inferno"](large)[..., :3] * 255
    share = strength * large[..., None] ** 2
    mixed: NDArray[np.uint8] = (
        ((1 - share) * (0.35 * 255 + 0.6 * grey) + share * coloured).clip(0, 255).astype(np.uint8)
    )
    return mixed


def faded(pixels: NDArray[np.uint8], shown: NDArray[np.bool_], paper: str) -> NDArray[np.uint8]:
    """The image faded into the paper wherever it is not shown.

    Args:
        pixels: (H, W, 3).
        shown: (rows, columns) of windows or of pixels.
        paper: The colour of the page.

    """
    height, width = pixels.shape[:2]
    rows = (np.arange(height) * shown.shape[0]) // height
    columns = (np.arange(width) * shown.shape[1]) // width
    colour = np.array(matplotlib.colors.to_rgb(paper)) * 255
    result: NDArray[np.uint8] = np.where(shown[rows][:, columns, None], pixels, 0.2 * pixels + 0.8 * colour).astype(
        np.uint8
    )
    return result


def outline(axes: Axes, cells: NDArray[np.bool_], extent: tuple[int, int], colour: str, width: float = 1.4) -> None:
    """The border between cells that are in and that are out: (rows, columns) over an image of (height, width)."""
    rows, columns = cells.shape
    step_y, step_x = extent[0] / rows, extent[1] / columns
    stroke: dict[str, Any] = {"color": colour, "linewidth": width, "solid_capstyle": "projecting"}
    for row, column in zip(*np.nonzero(cells[1:] != cells[:-1])):
        axes.plot(
            [column * step_x - 0.5, (column + 1) * step_x - 0.5], [(row + 1) * step_y - 0.5] * 2, clip_on=True, **stroke
        )
    for row, column in zip(*np.nonzero(cells[:, 1:] != cells[:, :-1])):
        axes.plot(
            [(column + 1) * step_x - 0.5] * 2, [row * step_y - 0.5, (row + 1) * step_y - 0.5], clip_on=True, **stroke
        )


def contour(axes: Axes, mask: NDArray[np.bool_], width: float = 0.9) -> None:
    """The border of a mask, drawn over its image in white and black, so that it is seen on every image."""
    if mask.any() and not mask.all():
        for colour, line in (("black", width + 1.2), ("white", width)):
            axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=line)


def framed(axes: Axes, colour: str, width: float = 2.0) -> None:
    """A frame around a picture."""
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=width)


def scale(sheet: Sheet, x: float, y: float, low: str, high: str) -> None:
    """What the colours of magnitude mean: a strip with a word at either end."""
    axes = sheet.axes(x, y + 0.02, 0.6, 0.1)
    axes.imshow(np.linspace(0, 1, 64)[None], cmap=SEQUENTIAL, aspect="auto")
    sheet.text(x - 0.05, y, low, ha="right")
    sheet.text(x + 0.65, y, high)


def fitted(text: str, room: float, size: float = SMALL, weight: str = "normal") -> str:
    """Text that fits into so many inches, as much of its middle left out as must be: names differ at both ends."""
    if text_width(text, size, weight) <= room:
        return text
    for length in range(len(text) - 1, 1, -1):
        tail = (length - 1) // 2
        shorter = f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"
        if text_width(shorter, size, weight) <= room:
            return shorter
    return "…"


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Inches that text takes in the figure's font."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.08 * float(width) / 72  # letters are wider on a screen, where they sit on whole pixels
