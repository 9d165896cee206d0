"""Draw localization maps: the attribute head on every window, laid over the image."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from svipctl.visuals.captions import caption
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.text import readable
from svipctl.visuals.tiles import INNER, LINE, MARGIN, Sheet, overlay, tile_side

PER_PAGE = 5
_GAP, _MOST = 0.12, 1.6
_SENTENCES = (
    "Localization maps: the attribute head on each window; grey is low, bright is high, a ring marks the highest. "
    "Below each map are its lowest and highest value. The attributes that count most for the answer are first; a 'no' "
    "before one of them means that the class has less of it than the others, so that its absence counts."
)


def attribute_sheet(
    images: Sequence[Inspection], title: str, names: Sequence[str], *, strongest: int, named: Sequence[int] = ()
) -> Figure:
    """Draw a row for each image: the attributes that count most for its answer, then the requested attributes.

    Each map has its own scale, from its lowest window (grey) to its highest (bright, with a ring); both are written
    below.

    Args:
        images: At most `PER_PAGE` images, whose answer has at least `strongest` reasons; all with windows.
        title: Title of the sheet.
        names: Names of all K attributes.
        strongest: Number of attributes that count most for the answer.
        named: Columns of the requested attributes.

    """
    shown = [shown_attributes(one, names, strongest, named) for one in images]
    side = min(tile_side(1 + max(len(columns) for columns in shown), _GAP), _MOST)
    height = side + 4 * LINE + 0.16
    sheet, top = Sheet.headed(title, _SENTENCES, 0.06 + len(images) * height)
    for number, (one, columns) in enumerate(zip(images, shown)):
        y = top + 0.06 + number * height
        caption(sheet, one, MARGIN, y, INNER, weight="bold")
        y += LINE + 0.02
        sheet.tile(MARGIN, y, side).picture(one.pixels)
        reasons = (*one.answer.speaks_for, *one.answer.speaks_against)
        lacking = {reason.attribute for reason in reasons if reason.lacking}
        for place, column in enumerate(columns, 1):
            no = "no " if names[column] in lacking else ""
            _draw_map(sheet, one, column, names[column], no, MARGIN + place * (side + _GAP), y, side)
    return sheet.figure


def shown_attributes(one: Inspection, names: Sequence[str], strongest: int, named: Sequence[int]) -> list[int]:
    """Return the columns of the attributes shown for an image: the strongest, then the requested ones, without
    duplicates.
    """
    reasons = one.answer.speaks_for[: strongest + len(named)]
    columns = [list(names).index(reason.attribute) for reason in reasons]
    return [*[column for column in columns if column not in named][:strongest], *named]


def _draw_map(sheet: Sheet, one: Inspection, column: int, name: str, no: str, x: float, y: float, side: float) -> None:
    assert one.windows is not None
    values = one.windows[:, :, column]
    tile = sheet.tile(x, y, side)
    tile.picture(overlay(one.pixels, values))
    tile.contour(one.mask, 0.6)
    row, place = divmod(int(values.argmax()), values.shape[1])
    tile.ring(row, place, values.shape)
    group, _, value = map(readable, name.partition("::"))
    room, below = side + _GAP / 2, y + side + 0.03
    sheet.text(x, below, no + (value or group), room=room, weight="bold")
    sheet.text(x, below + 0.9 * LINE, group if value else "", room=room, muted=True)
    ends = f"{values.min():.2f} to {values.max():.2f}".replace("-", "−")
    sheet.text(x, below + 1.8 * LINE, ends, room=room, muted=True)
