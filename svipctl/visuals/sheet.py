"""A contact sheet: many images, rightly and wrongly named, of seen and of unseen classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib
from matplotlib.figure import Figure

from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import BLUE, NORMAL, SMALL, VERMILION
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, faded, head_height

_WIDTH, _ACROSS, _GAP = 7.5, 6, 0.1
GROUPS = {
    (True, True): "seen classes, named rightly",
    (True, False): "seen classes, named wrongly",
    (False, True): "unseen classes, named rightly",
    (False, False): "unseen classes, named wrongly",
    (None, None): "pictures of your own",
}
"""By whether the class was trained, and whether it was named rightly."""

Kind = tuple[bool | None, bool | None]
Groups = dict[Kind, list[Inspection]]


def kinds(part: str, *, own: bool = False) -> list[Kind]:
    """The groups that images of a part of the split fall into, or pictures of one's own."""
    if own:
        return [(None, None)]
    seen = {"test": (True, False), "unseen": (False,)}.get(part, (True,))
    return [(is_seen, is_right) for is_seen in seen for is_right in (True, False)]


def sorted_groups(images: Iterable[Inspection], each: int, wanted: Sequence[Kind]) -> Groups:
    """Take images until each wanted group has so many, or there are no more; what is too many is let go at once."""
    groups: Groups = {key: [] for key in wanted}
    for one in images:
        key = (one.is_seen, one.is_right)
        if key in groups and len(groups[key]) < each:
            groups[key].append(one)
        if all(len(found) == each for found in groups.values()):
            break
    return groups


def contact_sheet(groups: Groups, title: str, *, looked_at: int) -> Figure:
    """Each group under its heading: the image with its rejected windows faded, its class, and what it was named.

    Args:
        groups: From `sorted_groups`; at least one image in all.
        title: Of the sheet.
        looked_at: How many images were looked at to fill the groups.

    """
    side = (_WIDTH - 2 * MARGIN - (_ACROSS - 1) * _GAP) / _ACROSS
    lines = (f"From {looked_at} images. Faded windows were taken for unrelated. Blue: named rightly; orange: wrongly.",)
    top = head_height(len(lines))
    shown = {key: found for key, found in groups.items() if found}
    height = top + sum(_rows(found) * _cell_height(side, key) + 1.9 * LINE for key, found in shown.items())
    sheet = Sheet.of(_WIDTH, height + 0.05)
    sheet.head(title, lines)
    y = top
    for key, found in shown.items():
        sheet.text(MARGIN, y + 0.08, GROUPS[key], size=NORMAL, weight="bold")
        y += 1.9 * LINE
        for number, one in enumerate(found):
            x = MARGIN + (number % _ACROSS) * (side + _GAP)
            _cell(sheet, one, x, y + (number // _ACROSS) * _cell_height(side, key), side)
        y += _rows(found) * _cell_height(side, key)
    return sheet.figure


def _rows(found: Sequence[Inspection]) -> int:
    return -(-len(found) // _ACROSS)


def _cell_height(side: float, key: Kind) -> float:
    """With a line for what it was named, unless that is its class."""
    return side + (1 if key[1] else 2) * LINE + 0.1


def _cell(sheet: Sheet, one: Inspection, x: float, y: float, side: float) -> None:
    paper = matplotlib.rcParams["figure.facecolor"]
    tile = sheet.tile(x, y, side)
    tile.picture(one.pixels if one.kept is None else faded(one.pixels, one.kept, paper))
    if one.is_right is not None:
        tile.frame(BLUE if one.is_right else VERMILION)
    room, below = side + _GAP / 3, y + side + 0.05
    sheet.text(x, below, one.true_class or one.name, room=room, size=SMALL - 1)
    if not one.is_right:
        sheet.text(x, below + 0.9 * LINE, f"→ {one.answer}", room=room, size=SMALL - 1, color=VERMILION)
