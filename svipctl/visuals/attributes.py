"""Where the model sees each attribute: the attribute head on every window, laid over the image."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from svipctl.visuals.captions import caption
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, head_height, overlay, wrapped

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
    lines = wrapped(
        "What the attribute head says of each window: grey is low, bright is high, a ring marks the highest. Below each "
        "map its lowest and highest value. First come the attributes that speak most for the answer.",
        _WIDTH - 2 * MARGIN,
    )
    top, height = head_height(len(lines)) + 0.06, side + 4 * LINE + 0.16
    sheet = Sheet.of(_WIDTH, top + len(images) * height)
    sheet.head(title, lines)
    for number, (one, columns) in enumerate(zip(images, shown)):
        y = top + number * height
        caption(sheet, one, MARGIN, y, _WIDTH - 2 * MARGIN, weight="bold")
        y += LINE + 0.02
        sheet.tile(MARGIN, y, side).picture(one.pixels)
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
    tile = sheet.tile(x, y, side)
    tile.picture(overlay(one.pixels, values))
    if one.mask is not None:
        tile.contour(one.mask, 0.6)
    row, place = divmod(int(values.argmax()), values.shape[1])
    tile.ring(row, place, values.shape)
    head, _, value = name.partition("::")
    words = head.removeprefix("has_").replace("_", " ")
    room, below = side + _GAP / 2, y + side + 0.03
    sheet.text(x, below, value.replace("_", " ") or words, room=room, weight="bold")
    sheet.text(x, below + 0.9 * LINE, words if value else "", room=room, muted=True)
    ends = f"{values.min():.2f} to {values.max():.2f}".replace("-", "−")
    sheet.text(x, below + 1.8 * LINE, ends, room=room, muted=True)
