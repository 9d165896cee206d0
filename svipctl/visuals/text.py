"""Fit text into a given width: shorten or wrap names, wrap sentences, all in inches."""

from __future__ import annotations

import re
from functools import lru_cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from svipctl.errors import shortened_name
from svipctl.quoting import printable
from svipctl.visuals.fonts import font_families
from svipctl.visuals.style import LARGE, NORMAL, SMALL


def readable(attribute: str) -> str:
    """Return the name of an attribute or of a group of attributes in words, without CUB's prefix `has_`."""
    return attribute.removeprefix("has_").replace("_", " ")


def fitted(text: str, room: float, size: float = SMALL, weight: str = "normal") -> str:
    """Return text at most `room` inches wide, shortened as little as possible."""
    shorter = (shortened_name(text, length) for length in range(max(len(text), 2), 1, -1))
    return next((one for one in shorter if text_width(one, size, weight) <= room), "…")


def entitle(figure: Figure, title: str) -> None:
    """Write the first line of a title above a figure, and its other lines, in small type, below.

    Args:
        figure: Figure with a layout engine, which makes room.
        title: Title, or empty. The first line is shortened to the width, others are wrapped.

    """
    first, *notes = printable(title).splitlines() or [""]
    room = figure.get_figwidth() - 0.3
    if first:
        figure.suptitle(fitted(first, room, LARGE, "bold"), x=0.01, ha="left", weight="bold")
    if notes:
        lines = [line for note in notes for line in wrapped(note, room, SMALL)]
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL)


def wrapped(text: str, room: float, size: float = NORMAL, *, most: int | None = None) -> list[str]:
    """Return text in lines at most `room` inches wide, broken at spaces and after underscores and slashes.

    Args:
        text: Sentences, or a name.
        room: Width in inches. Parts that cannot be broken are `fitted`.
        size: Font size in points.
        most: Maximum number of lines; the last one takes the rest.

    """
    first, *rest = re.split(r"(?<=[_/ ])", text)
    lines = [first]
    for piece in rest:
        longer = lines[-1] + piece
        is_arrow = lines[-1] == "→ "  # never alone in a line
        if is_arrow or len(lines) == most or text_width(longer.rstrip(), size) <= room:
            lines[-1] = longer
        else:
            lines.append(piece)
    return [fitted(line.rstrip(), room, size) for line in lines]


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, weight: str = "normal") -> float:
    """Return the width of text in the figure's font, in inches."""
    font = FontProperties(family=list(font_families()), size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(printable(text), font, ismath=False)
    return 1.08 * float(width) / 72  # letters are wider on a screen, where they are aligned to whole pixels
