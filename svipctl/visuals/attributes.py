"""Where the model sees each attribute: the attribute head on every window, laid over the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from svipctl.visuals.inspection import Inspection
from svipctl.visuals.patches import remark
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, contour, head_height, overlay, picture

PER_PAGE = 5
_WIDTH, _GAP, _MOST = 7.5, 0.12, 1.6


def attribute_sheet(
    images: Sequence[Inspection], title: str, names: Sequence[str], *, strongest: int, named: Sequence[int] = ()
) -> Figure:
    """A row for each image: the attributes that speak most for the class it was named, then the attributes asked for.

    Each map has its own scale, from its lowest window (grey) to its highest (bright, and ringed); both are written below.

    Args:
        images: At most `PER_PAGE`, whose answers come with at least `strongest` reasons; all with windows.
        title: Of the sheet.
        names: Of all K attributes.
        strongest: How many of those that speak for the named class.
        named: Columns of the attributes asked for.

    """
    shown = [shown_attributes(one, names, strongest, named) for one in images]
    tiles = 1 + max(len(columns) for columns in shown)
    side = min((_WIDTH - 2 * MARGIN - (tiles - 1) * _GAP) / tiles, _MOST)
    lines = (
        "What the attribute head says of each window: bright is high, grey is low, a ring marks the highest.",
        "Below each map its lowest and highest value. First come the attributes that speak most for the answer.",
    )
    top, height = head_height(len(lines)) + 0.06, side + 4 * LINE + 0.16
    sheet = Sheet.of(_WIDTH, top + len(images) * height)
    sheet.head(title, lines)
    for number, (one, columns) in enumerate(zip(images, shown)):
        y = top + number * height
        label = one.true_class or one.name
        sheet.text(MARGIN, y, label, room=3.2, weight="bold")
        sheet.text(_WIDTH - MARGIN, y, remark(one, 3.6), ha="right", color="0.5")
        y += LINE + 0.02
        axes = sheet.axes(MARGIN, y, side, side)
        picture(axes, one.pixels)
        for place, column in enumerate(columns, 1):
            _map(sheet, one, column, names[column], MARGIN + place * (side + _GAP), y, side)
    return sheet.figure


def shown_attributes(one: Inspection, names: Sequence[str], strongest: int, named: Sequence[int]) -> list[int]:
    """Columns of the attributes shown of an image: the strongest, then those asked for, none of them twice."""
    return [column for column in _strongest(one, names, strongest + len(named)) if column not in named][
        :strongest
    ] + list(named)


def _strongest(one: Inspection, names: Sequence[str], count: int) -> list[int]:
    """Columns of the attributes that speak most for the class that the image was named, greatest first."""
    return [list(names).index(reason.attribute) for reason in one.answers[0].speaks_for[:count]]


def _map(sheet: Sheet, one: Inspection, column: int, name: str, x: float, y: float, side: float) -> None:
    assert one.windows is not None
    values = one.windows[:, :, column]
    axes = sheet.axes(x, y, side, side)
    picture(axes, overlay(one.pixels, values))
    if one.mask is not None:
        contour(axes, one.mask, 0.6)
    row, place = np.unravel_index(int(values.argmax()), values.shape)
    height, width = one.pixels.shape[:2]
    centre = (place + 0.5) * width / values.shape[1] - 0.5, (row + 0.5) * height / values.shape[0] - 0.5
    for colour, line in (("black", 2.6), ("white", 1.3)):
        axes.plot(*centre, "o", ms=7, mfc="none", mec=colour, mew=line)
    head, _, value = name.partition("::")
    words = head.removeprefix("has_").replace("_", " ")
    room, below = side + _GAP / 2, y + side + 0.03
    sheet.text(x, below, value.replace("_", " ") or words, room=room, weight="bold")
    sheet.text(x, below + 0.9 * LINE, words if value else "", room=room, color="0.5")
    sheet.text(x, below + 1.8 * LINE, f"{values.min():.2f} to {values.max():.2f}", room=room, color="0.5")
