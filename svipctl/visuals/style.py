"""Set the style of figures: colours, sizes and file formats. No display, no pyplot, the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
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
DPI = 150
SMALL, NORMAL, LARGE = 8, 9, 11
"""Font sizes in points. A figure is drawn at its printed size, so these are the sizes on paper."""

_COLOURS: Any = {
    ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"): ("#1a1a1a", "#e8e8e8"),
    ("figure.facecolor", "savefig.facecolor", "axes.facecolor", "legend.facecolor"): ("#ffffff", "#16181d"),
    ("axes.edgecolor", "grid.color", "legend.edgecolor"): ("#d0d0d0", "#3a3f4a"),
}
"""Colours of text, paper and lines, each in the light and in the dark theme."""
_CYCLES = {"light": CYCLE, "dark": (SKY, *CYCLE[1:4], BLUE, *CYCLE[5:])}
_LOOK: Any = {  # its keys are literals to the type checker
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "figure.titlesize": LARGE,
    "font.size": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.5,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "svg.hashsalt": "svipctl",
    "svg.fonttype": "none",
    "image.interpolation": "nearest",
    "image.composite_image": False,  # otherwise an SVG would contain one coarse image of all images
    # Names of classes are not TeX, even with a dollar sign.
    "text.parse_math": False,
    "text.usetex": False,
}


@contextmanager
def themed(theme: Theme = "light") -> Generator[None]:
    """Apply a theme to everything drawn and saved inside the block; afterwards matplotlib is unchanged.

    Args:
        theme: `light` for paper, `dark` for a dark page.

    """
    with matplotlib.rc_context(rc={}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+")  # `undrawable` lists them before
        matplotlib.rcdefaults()  # a matplotlibrc of the user would change the bytes
        matplotlib.rcParams.update(_LOOK)
        matplotlib.rcParams["font.family"] = list(font_families())
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=_CYCLES[theme])
        for keys, (light, dark) in _COLOURS.items():
            matplotlib.rcParams.update(dict.fromkeys(keys, light if theme == "light" else dark))
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
                # No date and no version of the program, which are unrelated to the content.
                text = io.StringIO()
                figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
                # Names may contain characters that XML forbids.
                unfinished.write_text(printable(text.getvalue()), encoding="utf-8")
