"""Parts of which sheets are made: pictures, maps over them, outlines, and text placed in inches from the top left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray
from PIL import Image

from svipctl.visuals.style import LARGE, NORMAL, SEQUENTIAL, SMALL, new_figure

MARGIN = 0.2
LINE = 0.165
"""Height of a line of small text, inches."""


@dataclass(frozen=True)
class Tile:
    """A place for a picture and for what is drawn over it."""

    canvas: Axes
    x: float
    y: float
    width: float
    height: float

    def picture(self, pixels: NDArray[np.uint8]) -> None:
        """An image as the model saw it; its pixels stay sharp squares."""
        self.canvas.imshow(pixels, interpolation="nearest", **self._place)

    def heat(self, values: NDArray[np.floating[Any]], lowest: float, highest: float) -> None:
        """A map of windows in the colours of magnitude."""
        highest = max(highest, lowest + 1e-12)
        self.canvas.imshow(values, cmap=SEQUENTIAL, vmin=lowest, vmax=highest, interpolation="nearest", **self._place)

    def outline(self, cells: NDArray[np.bool_], colour: str, width: float = 1.4) -> None:
        """The border between cells (rows, columns) that are in and that are out."""
        step_y, step_x = self.height / cells.shape[0], self.width / cells.shape[1]
        lines = []
        for row, column in zip(*np.nonzero(cells[1:] != cells[:-1])):
            y = self.y + (row + 1) * step_y
            lines.append([(self.x + column * step_x, y), (self.x + (column + 1) * step_x, y)])
        for row, column in zip(*np.nonzero(cells[:, 1:] != cells[:, :-1])):
            x = self.x + (column + 1) * step_x
            lines.append([(x, self.y + row * step_y), (x, self.y + (row + 1) * step_y)])
        border = LineCollection(lines, colors=colour, linewidths=width, capstyle="projecting")
        self.canvas.add_collection(border, autolim=False)
        border.set_clip_path(Rectangle((self.x, self.y), self.width, self.height, transform=self.canvas.transData))

    def contour(self, mask: NDArray[np.bool_], width: float = 0.9) -> None:
        """The border of a mask (H, W), drawn in white and black, so that it is seen on every image."""
        if mask.any() and not mask.all():
            x = self.x + (np.arange(mask.shape[1]) + 0.5) / mask.shape[1] * self.width
            y = self.y + (np.arange(mask.shape[0]) + 0.5) / mask.shape[0] * self.height
            for colour, line in (("black", width + 1.2), ("white", width)):
                self.canvas.contour(x, y, mask.astype(float), levels=[0.5], colors=[colour], linewidths=line)

    def ring(self, row: int, column: int, shape: tuple[int, int]) -> None:
        """A ring around the centre of a window of a grid."""
        centre = self.x + (column + 0.5) / shape[1] * self.width, self.y + (row + 0.5) / shape[0] * self.height
        for colour, line in (("black", 2.6), ("white", 1.3)):
            self.canvas.plot(*centre, "o", ms=7, mfc="none", mec=colour, mew=line)

    def frame(self, colour: str, width: float = 2.0) -> None:
        """A frame around the picture."""
        self.canvas.add_patch(
            Rectangle((self.x, self.y), self.width, self.height, fill=False, edgecolor=colour, linewidth=width)
        )

    @property
    def _place(self) -> dict[str, Any]:
        return {"extent": (self.x, self.x + self.width, self.y + self.height, self.y), "aspect": "auto"}


@dataclass(frozen=True)
class Sheet:
    """A figure whose parts are placed by hand; places are inches from its top left corner."""

    figure: Figure
    canvas: Axes
    """All of the figure, in inches, y down. One for all pictures: making axes is slow."""
    width: float
    height: float

    @classmethod
    def of(cls, width: float, height: float) -> Sheet:
        """An empty one, sizes in inches."""
        figure = new_figure(width, height)
        figure.set_layout_engine("none")
        canvas = figure.add_axes((0, 0, 1, 1))
        canvas.set_axis_off()
        canvas.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        return cls(figure, canvas, width, height)

    def tile(self, x: float, y: float, width: float, height: float | None = None) -> Tile:
        """A place for a picture, square unless told otherwise."""
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
        """A line of text, its top at y; shortened where it has less room, in inches, than it needs."""
        if room:
            text = fitted(text, room, size, weight)
        colour = color or _ink(0.62 if muted else 1.0)
        place = x / self.width, 1 - y / self.height
        self.figure.text(*place, text, fontsize=size, va="top", ha=ha, weight=weight, color=colour)

    def head(self, title: str, lines: Sequence[str], *, y: float = 0.14) -> None:
        """The title, and what is to be said of the whole sheet, `wrapped`."""
        self.text(MARGIN, y, title, size=LARGE, weight="bold", room=self.width - 2 * MARGIN)
        for number, line in enumerate(lines):
            self.text(MARGIN, y + 0.24 + number * LINE, line, size=NORMAL)


def head_height(lines: int) -> float:
    """Inches that a head with so many lines takes."""
    return 0.46 + lines * LINE


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
    colour = np.array(to_rgb(paper)) * 255
    result: NDArray[np.uint8] = np.where(shown[rows][:, columns, None], pixels, 0.2 * pixels + 0.8 * colour).astype(
        np.uint8
    )
    return result


def scale(sheet: Sheet, right: float, y: float, low: str, high: str) -> None:
    """What the colours of magnitude mean: a strip with a word at either end, up to `right`."""
    x = right - text_width(high) - 0.65
    sheet.tile(x, y + 0.02, 0.6, 0.1).heat(np.linspace(0, 1, 64)[None], 0, 1)
    sheet.text(x - 0.05, y, low, ha="right")
    sheet.text(right, y, high, ha="right")


def wrapped(text: str, room: float, size: float = NORMAL) -> list[str]:
    """Sentences in lines of so many inches; nothing of them is left out."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and text_width(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


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


def broken(name: str, room: float, size: float = SMALL, most: int = 3) -> list[str]:
    """A name in at most so many lines, broken after underscores and blanks; what is still too long is `fitted`."""
    lines: list[str] = []
    rest = name
    while len(lines) < most - 1 and text_width(rest, size) > room:
        ends = [
            place for place, letter in enumerate(rest, 1) if letter in "_ /" and text_width(rest[:place], size) <= room
        ]
        if not ends or rest[: ends[-1]].strip() == "→":
            break
        lines.append(rest[: ends[-1]].rstrip())
        rest = rest[ends[-1] :]
    return [*lines, fitted(rest, room, size)]


def _ink(share: float) -> tuple[float, ...]:
    """The theme's colour of text, thinned with its paper."""
    ink, paper = (np.array(to_rgb(matplotlib.rcParams[name])) for name in ("text.color", "figure.facecolor"))
    return tuple(share * ink + (1 - share) * paper)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Inches that text takes in the figure's font."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.08 * float(width) / 72  # letters are wider on a screen, where they sit on whole pixels
