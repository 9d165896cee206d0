"""A contact sheet: many images, rightly and wrongly named, of seen and of unseen classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib
from matplotlib.figure import Figure

from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import BLUE, NORMAL, SMALL, VERMILION
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, broken, faded, head_height, wrapped

_WIDTH, _ACROSS, _GAP = 7.5, 6, 0.1
_SIZE, _SMALL_LINE = SMALL - 1, 0.85 * LINE
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


def sorted_groups(images: Iterable[Inspection], count: int, wanted: Sequence[Kind]) -> Groups:
    """Take at most `count` images, as many of each wanted group, or until there are no more; others are let go at once."""
    share, more = divmod(count, len(wanted))
    room = {key: share + (number < more) for number, key in enumerate(wanted)}
    groups: Groups = {key: [] for key in wanted}
    for one in images:
        key = (one.is_seen, one.is_right)
        if key in groups and len(groups[key]) < room[key]:
            groups[key].append(one)
        if all(len(groups[key]) == room[key] for key in wanted):
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
    lines = wrapped(_words(groups, looked_at), _WIDTH - 2 * MARGIN)
    top = head_height(len(lines))
    shown = {key: found for key, found in groups.items() if found}
    height = top + sum(_rows(found) * _cell_height(side, found) + 1.9 * LINE for found in shown.values())
    sheet = Sheet.of(_WIDTH, height + 0.05)
    sheet.head(title, lines)
    y = top
    for key, found in shown.items():
        sheet.text(MARGIN, y + 0.08, GROUPS[key], size=NORMAL, weight="bold")
        y += 1.9 * LINE
        for number, one in enumerate(found):
            x = MARGIN + (number % _ACROSS) * (side + _GAP)
            _cell(sheet, one, x, y + (number // _ACROSS) * _cell_height(side, found), side)
        y += _rows(found) * _cell_height(side, found)
    return sheet.figure


def _words(groups: Groups, looked_at: int) -> str:
    shown = [one for found in groups.values() for one in found]
    words = [f"{len(shown)} of the {looked_at} images looked at."]
    if any(one.kept is not None for one in shown):
        words.append("Faded windows were taken for unrelated.")
    return " ".join(words)


def _rows(found: Sequence[Inspection]) -> int:
    return -(-len(found) // _ACROSS)


def _cell_height(side: float, found: Sequence[Inspection]) -> float:
    """With room for the longest names."""
    return side + max(len(_names(one, side)) for one in found) * _SMALL_LINE + 0.14


def _names(one: Inspection, side: float) -> list[tuple[str, str | None]]:
    """Lines below a picture with their colours: its class and, unless it was named so, what it was named."""
    room = side + _GAP / 3
    lines: list[tuple[str, str | None]] = [(line, None) for line in broken(one.true_class or one.name, room, _SIZE)]
    if not one.is_right:
        lines += [(line, VERMILION) for line in broken(f"→ {one.answer}", room, _SIZE)]
    return lines


def _cell(sheet: Sheet, one: Inspection, x: float, y: float, side: float) -> None:
    paper = matplotlib.rcParams["figure.facecolor"]
    tile = sheet.tile(x, y, side)
    tile.picture(one.pixels if one.kept is None else faded(one.pixels, one.kept, paper))
    if one.is_right is not None:
        tile.frame(BLUE if one.is_right else VERMILION)
    for number, (line, colour) in enumerate(_names(one, side)):
        sheet.text(x, y + side + 0.05 + number * _SMALL_LINE, line, size=_SIZE, color=colour)
