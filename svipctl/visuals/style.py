"""Set the style of figures: colours, sizes and file formats. No display, no pyplot, the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from svipctl.errors import ConfigError, explained_disk_errors
from svipctl.files import atomic_write
from svipctl.quoting import printable, shell_words
from svipctl.visuals.fonts import font_families

Theme = Literal["light", "dark"]

# Okabe and Ito (2008), "Color Universal Design": distinguishable with every kind of colour vision.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"

SEEN, UNSEEN = SKY, ORANGE
RELATED, UNRELATED = GREEN, VERMILION
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)
SEQUENTIAL = "cividis"
"""Colour map of magnitudes: uniform in lightness, and the same for colour-blind readers."""

SUFFIXES = (".png", ".svg")
_CYCLES = {"light": CYCLE, "dark": (SKY, *CYCLE[1:4], BLUE, *CYCLE[5:])}


@cache
def _style_sheet(name: str) -> matplotlib.RcParams:
    return matplotlib.rc_params_from_file(Path(__file__).with_name(f"{name}.mplstyle"), use_default_template=False)


_LOOK = _style_sheet("look")
DPI = float(_LOOK["savefig.dpi"])
SMALL, NORMAL, LARGE = (float(_LOOK[key]) for key in ("legend.fontsize", "font.size", "figure.titlesize"))
"""Font sizes in points. A figure is drawn at its printed size, so these are the sizes on paper."""


def cycle_colour(number: int) -> str:
    """Return a colour of the theme's cycle; "C0" would be looked up when the figure is saved, outside the theme."""
    colours: list[str] = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    return colours[number % len(colours)]


@contextmanager
def themed(theme: Theme = "light") -> Generator[None]:
    """Apply a theme to everything drawn and saved inside the block; afterwards matplotlib is unchanged.

    Args:
        theme: `light` for paper, `dark` for a dark page.

    Raises:
        ConfigError: There is no such theme.

    """
    if theme not in _CYCLES:
        raise ConfigError(f"there is no theme {theme!r}", todo=f"use {' or '.join(_CYCLES)}")
    with matplotlib.rc_context(rc={}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+")  # `undrawable` lists them before
        matplotlib.rcdefaults()  # a matplotlibrc of the user would change the bytes
        matplotlib.rcParams.update(_LOOK | _style_sheet(theme))
        matplotlib.rcParams["font.family"] = list(font_families())
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=_CYCLES[theme])
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure, drawn by Agg and known to no window manager.

    Args:
        width_in: Inches.
        height_in: Inches.

    """
    return Figure(figsize=(width_in, height_in), layout="constrained")


def check_suffix(path: Path) -> None:
    """Raise ConfigError unless a figure can be written to a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path.name}: figures are {' or '.join(suffix[1:].upper() for suffix in SUFFIXES)}",
            todo=shell_words("-o", path.with_suffix(".png").name),
        )


def save(figure: Figure, path: Path) -> None:
    """Write a figure, complete or not at all; the same figure gives the same bytes. Call it inside `themed`.

    Args:
        figure: From `new_figure`.
        path: Ends in .png or .svg; its folder is created.

    Raises:
        ConfigError: The name has another ending, or the file cannot be written.
        ResourceError: The disk is full.

    """
    check_suffix(path)
    with explained_disk_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            if path.suffix.lower() == ".png":
                canvas: Any = FigureCanvasAgg(figure)  # untyped
                canvas.draw()  # once; `savefig` draws twice
                pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
                pixels.save(unfinished, format="PNG", dpi=(DPI, DPI))
            else:
                unfinished.write_bytes(svg(figure))


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, without date and program, which are unrelated to the content. Call it inside `themed`."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return printable(text.getvalue()).encode()  # names may contain characters that XML forbids
