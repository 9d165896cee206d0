"""Draw a contact sheet: many images of seen and unseen classes, classified correctly and incorrectly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import BLUE, NORMAL, SMALL, VERMILION
from svipctl.visuals.text import wrapped
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, faded, tile_side

_ACROSS, _GAP = 6, 0.1
_SIDE = tile_side(_ACROSS, _GAP)
_SIZE, _SMALL_LINE, _HEADING = SMALL - 1, 0.85 * LINE, 1.9 * LINE
GROUPS = {
    (True, True): "seen classes, classified correctly",
    (True, False): "seen classes, misclassified",
    (False, True): "unseen classes, classified correctly",
    (False, False): "unseen classes, misclassified",
    (None, None): "your own images",
}
"""Heading of a group, by whether the class is seen, and whether the image was classified correctly."""

Kind = tuple[bool | None, bool | None]
Groups = dict[Kind, list[Inspection]]


def kinds(part: str, *, own: bool = False) -> list[Kind]:
    """Return the groups of the images of a part of the split, or of your own images."""
    if own:
        return [(None, None)]
    seen = {"test": (True, False), "unseen": (False,)}.get(part, (True,))
    return [(is_seen, is_right) for is_seen in seen for is_right in (True, False)]


def sorted_groups(images: Iterable[Inspection], count: int, wanted: Sequence[Kind]) -> tuple[Groups, int]:
    """Take at most `count` images, equally many of each wanted group, until there are no more; drop others at once.

    Returns:
        The groups, and the number of images looked at.

    """
    share, more = divmod(count, len(wanted))
    room = {key: share + (number < more) for number, key in enumerate(wanted)}
    groups: Groups = {key: [] for key in wanted}
    looked_at = 0
    for one in images:
        looked_at += 1
        key = (one.is_seen, one.is_right)
        if key in groups and len(groups[key]) < room[key]:
            groups[key].append(one)
        if all(len(groups[key]) == room[key] for key in wanted):
            break
    return groups, looked_at


def contact_sheet(groups: Groups, title: str, *, looked_at: int) -> Figure:
    """Draw each group under its heading: the image with its unrelated windows faded, its class, and its answer.

    Args:
        groups: Groups from `sorted_groups`; at least one image in total.
        title: Title of the sheet.
        looked_at: Number of images inspected to fill the groups.

    """
    shown = {key: images for key, images in groups.items() if images}
    cells = {key: _SIDE + max(len(_names(one)) for one in images) * _SMALL_LINE + 0.14 for key, images in shown.items()}
    heights = {key: _HEADING + math.ceil(len(images) / _ACROSS) * cells[key] for key, images in shown.items()}
    sentences = f"{sum(map(len, shown.values()))} of {looked_at} inspected images."
    if any(one.kept is not None for images in shown.values() for one in images):
        sentences += " Faded windows are unrelated."
    sheet, y = Sheet.headed(title, sentences, sum(heights.values()) + 0.05)
    for key, images in shown.items():
        sheet.text(MARGIN, y + 0.08, GROUPS[key], size=NORMAL, weight="bold")
        for number, one in enumerate(images):
            row, column = divmod(number, _ACROSS)
            _draw_cell(sheet, one, MARGIN + column * (_SIDE + _GAP), y + _HEADING + row * cells[key])
        y += heights[key]
    return sheet.figure


def _names(one: Inspection) -> list[tuple[str, str | None]]:
    """Return the lines below an image with their colours: its class and, if it was misclassified, the answer."""
    names = [(one.label, None)] if one.is_right else [(one.label, None), (f"→ {one.answer.name}", VERMILION)]
    return [(line, colour) for name, colour in names for line in wrapped(name, _SIDE + _GAP / 3, _SIZE, most=3)]


def _draw_cell(sheet: Sheet, one: Inspection, x: float, y: float) -> None:
    tile = sheet.tile(x, y, _SIDE)
    tile.picture(faded(one.pixels, one.kept))
    if one.is_right is not None:
        tile.frame(BLUE if one.is_right else VERMILION)
    for number, (line, colour) in enumerate(_names(one)):
        sheet.text(x, y + _SIDE + 0.05 + number * _SMALL_LINE, line, size=_SIZE, color=colour)
