"""A small curve in text, for terminals: two by four dots a character in Braille, or asterisks where there is no Braille."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Point = tuple[float, float]
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille character, from U+2800: (row, column)."""


def curve(
    points: Sequence[Point], marks: Iterable[tuple[Point, str]] = (), *, columns: int, rows: int, braille: bool = True
) -> list[str]:
    """A line through points in the square from 0 to 100, with marks on it; no axes.

    Args:
        points: (x, y) in percent, in the order they are joined.
        marks: Places and the character that stands there; a later one covers an earlier one.
        columns: Characters across.
        rows: Lines.
        braille: Two by four dots a character instead of asterisks.

    """
    across, down = (2, 4) if braille else (1, 1)
    width, height = columns * across, rows * down
    cells = [[0] * columns for _ in range(rows)]
    for x, y in _dots([_scaled(point, width, height) for point in points]):
        cells[y // down][x // across] |= _DOTS[y % down][x % across] if braille else 1
    blank, drawn = " ", "*"
    text = [[(chr(0x2800 + bits) if braille else drawn) if bits else blank for bits in row] for row in cells]
    for point, mark in marks:
        x, y = _scaled(point, columns, rows)
        text[y][x] = mark
    return ["".join(row) for row in text]


def framed(lines: Sequence[str], *, x: str, y: str, braille: bool = True) -> list[str]:
    """A curve between its axes, both from 0 to 100.

    Args:
        lines: From `curve`, at least two.
        x: Name of the axis across.
        y: Name of the axis upwards; stands above it.
        braille: Whether the terminal shows more than ASCII.

    """
    side, corner, floor = ("│", "└", "─") if braille else ("|", "+", "-")
    labels = {0: "100", len(lines) - 1: "  0"}
    drawn = [f"{labels.get(number, '   ')} {side}{line}" for number, line in enumerate(lines)]
    width = len(lines[0])
    foot = f"    {corner}{floor * width}"
    below = "     0" + f"{x} 100".rjust(width - 1)
    return [f"    {y}", *drawn, foot, below]


def _scaled(point: Point, width: int, height: int) -> tuple[int, int]:
    x, y = (min(max(value / 100, 0.0), 1.0) for value in point)
    return round(x * (width - 1)), round((1 - y) * (height - 1))


def _dots(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Every dot on the straight lines from each place to the next."""
    yield from places[:1]
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(1, steps + 1):
            yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
