"""What sheets of images say below a picture: its class, and what it was named."""

from __future__ import annotations

from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import SMALL
from svipctl.visuals.tiles import Sheet, fitted, text_width

_BETWEEN = 0.2


def caption(sheet: Sheet, one: Inspection, x: float, y: float, room: float, *, weight: str = "normal") -> None:
    """The class on the left of a line of so many inches, what became of the image on the right."""
    name = one.true_class or one.name
    right = remark(one, max(room - _BETWEEN - text_width(name, SMALL, weight), 0.6 * room))
    sheet.text(x, y, name, room=room - _BETWEEN - text_width(right), weight=weight)
    sheet.text(x + room, y, right, ha="right", muted=True)


def remark(one: Inspection, room: float) -> str:
    """What became of an image, in so many inches: whether its class was trained, and what it was named."""
    parts = [] if one.is_seen is None else ["seen" if one.is_seen else "unseen"]
    if one.is_right:
        return " · ".join([*parts, "named rightly"])
    start = " · ".join([*parts, "named "])
    return start + fitted(one.answer, room - text_width(start))
