"""An evaluation for a person: the row of each protocol, what was selected and localised, the seen-unseen curve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink

if TYPE_CHECKING:
    from svipctl.evaluation.protocols import ProtocolResults

Point = tuple[float, float]
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille character, from U+2800: (row, column)."""


def show_evaluation(document: dict[str, Any]) -> None:
    """The rows of an evaluation for a person."""
    from svipctl.evaluation.tables import table

    images = document["images"]
    subject = document["run"] or document.get("predictions") or document["checkpoint"]["file"]
    split = document.get("split", "test")
    counts = f"{images['seen']} seen and {images['unseen']} unseen {split} images"
    title = f"{subject}: {counts}, percent, ± half the 95 % interval"
    sink.table(title, ["protocol", "T1", "U", "S", "H or area", "what it is"], table(document))
    for line in _averages(document):
        sink.say(line)
    selection = document.get("selection", {})
    for name, quality in (
        ("its own labels", selection),
        ("the true masks", selection.get("mask", {})),
        ("the boxes", selection.get("box", {})),
    ):
        if "auc" in quality:
            sink.say(
                f"patch selection against {name}: AUC {quality['auc']:.1f}, recall {quality.get('recall', 100):.1f}"
            )
    for line in _localised(document.get("localisation", {})):
        sink.say(line)


def _averages(document: dict[str, Any]) -> Iterator[str]:
    """H over images beside H over classes, which differ where classes have different numbers of images; and the leak."""
    from svipctl.evaluation.tables import leak

    rows, per_image = document["protocols"], document["per_image"]
    figures = [f"{row} {per_image[row]['H']:.1f}" for row in rows if "H" in per_image.get(row, {})]
    if figures:
        yield f"H over images instead of classes: {', '.join(figures)}"
    found = leak(document)
    if found is not None:
        yield f"the leak, H of reference minus H of gzsl-calibrated: {found:+.1f}"


def _localised(found: dict[str, Any]) -> Iterator[str]:
    """Where the maps of the attributes are highest, beside what any other place would give."""
    chance = "{uniform:.1f} for any window, {centre:.1f} for the centre, {shuffled:.1f} for another image's peak"
    if "object" in found:
        figures = found["object"]
        yield f"peaks of part attributes inside the {figures['truth']}: {figures['inside']:.1f} % ({chance.format(**figures)})"
    if "parts" in found:
        figures = found["parts"]
        yield (
            f"their distance to the part: {figures['distance']:.1f} % of the bird's diagonal ({chance.format(**figures)})"
        )


def show_curve(evaluation: ProtocolResults) -> None:
    """The seen-unseen curve with its protocols, on a terminal only: scripts get the table as ever."""
    if "ausuc" not in evaluation.rows or not sink.draws_on_stdout:
        return
    braille = sink.has_braille
    points = list(zip((100 * evaluation.curve.unseen).tolist(), (100 * evaluation.curve.seen).tolist()))
    marks = {
        row: mark
        for row, mark in (("gzsl", "o"), ("gzsl-oracle", "x"), ("gzsl-calibrated", "@"))
        if row in evaluation.rows
    }
    places = [((100 * evaluation.rows[row]["U"], 100 * evaluation.rows[row]["S"]), mark) for row, mark in marks.items()]
    lines = framed(
        curve(points, places, columns=44, rows=10, braille=braille), x="unseen, U", y="seen, S", braille=braille
    )
    sink.say("\n".join(lines))
    sink.say("     " + "  ".join(f"{mark} {row}" for row, mark in marks.items()))


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
