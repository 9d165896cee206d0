"""Encode images and charts as data URIs, so that a page contains them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from svipctl.visuals.style import Theme, new_figure, svg, themed

_JPEG_QUALITY = 82
# A browser may lack DejaVu Sans: then it uses its own sans-serif font.
_FONTS: Any = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"]}


@dataclass(frozen=True)
class Picture:
    """An image as `src` takes it, with its size in pixels."""

    uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Chart:
    """A figure for a light and for a dark page."""

    light: Picture
    dark: Picture
    title: str
    about: str
    """Description of what the chart shows."""


def picture(pixels: NDArray[np.uint8], alt: str, *, largest: int = 160) -> Picture:
    """Return pixels (H, W, 3) as a small JPEG.

    Args:
        pixels: RGB.
        alt: Description of the image.
        largest: Maximum length of the longer side.

    """
    image = Image.fromarray(pixels)
    image.thumbnail((largest, largest), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return Picture(_uri("image/jpeg", file.getvalue()), *image.size, alt)


def chart(title: str, about: str, draw: Callable[[], Figure]) -> Chart:
    """Draw a figure as SVG for both themes.

    Args:
        title: Title of the chart.
        about: Description of what the chart shows.
        draw: Function that creates the figure in the current theme.

    """
    return Chart(_svg_picture("light", title, draw), _svg_picture("dark", title, draw), title, about)


def panel(title: str, about: str, draw: Callable[..., None], *of: Any) -> Chart:
    """Return a chart of one panel, of the size that a page shows charts at.

    Args:
        title: Title of the chart.
        about: Description of what the chart shows.
        draw: Function that draws on the given axes.
        of: Arguments of `draw`.

    """

    def figure() -> Figure:
        made = new_figure(4.4, 3.3)
        draw(made.subplots(), *of)
        return made

    return chart(title, about, figure)


def _svg_picture(theme: Theme, title: str, draw: Callable[[], Figure]) -> Picture:
    with themed(theme), matplotlib.rc_context(_FONTS):
        figure = draw()
        content = svg(figure)
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(_uri("image/svg+xml", content), width, height, title)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
