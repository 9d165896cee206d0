"""Draw the seen-unseen curve as text for terminals, in Braille dots or ASCII."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from svipctl.evaluation.protocols import ProtocolResults

Point = tuple[float, float]
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille character, from U+2800: (row, column)."""
_MARKS = {"gzsl": "o", "gzsl-oracle": "x", "gzsl-calibrated": "@"}


def seen_unseen_curve(evaluation: ProtocolResults, *, braille: bool = True) -> list[str]:
    """Return the lines of the seen-unseen curve with its axes, its protocols marked on it, and the key of the marks.

    Args:
        evaluation: Results with the row `ausuc`.
        braille: True if the terminal shows more than ASCII.

    """
    points = list(zip((100 * evaluation.curve.unseen).tolist(), (100 * evaluation.curve.seen).tolist()))
    marks = {row: mark for row, mark in _MARKS.items() if row in evaluation.rows}
    places = [((100 * evaluation.rows[row]["U"], 100 * evaluation.rows[row]["S"]), mark) for row, mark in marks.items()]
    lines = curve(points, places, columns=44, rows=10, braille=braille)
    key = "     " + "  ".join(f"{mark} {row}" for row, mark in marks.items())
    return [*framed(lines, x="unseen, U", y="seen, S", braille=braille), key]


def curve(
    points: Sequence[Point], marks: Iterable[tuple[Point, str]] = (), *, columns: int, rows: int, braille: bool = True
) -> list[str]:
    """Return the lines of a curve through points in the square from 0 to 100, with marks on it; no axes.

    Args:
        points: (x, y) in percent, in the order in which they are connected.
        marks: Points and the character at each; a later one covers an earlier one.
        columns: Width in characters.
        rows: Height in lines.
        braille: Use two by four dots a character instead of asterisks.

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
    """Return the lines of a curve between its axes, both from 0 to 100.

    Args:
        lines: From `curve`, at least two.
        x: Name of the horizontal axis.
        y: Name of the vertical axis, written above it.
        braille: True if the terminal shows more than ASCII.

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
    """Yield every dot on the straight lines from each place to the next."""
    yield from places[:1]
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(1, steps + 1):
            yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
