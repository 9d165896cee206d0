"""Write the line that describes an inspected image: its class, and how it was classified."""

from __future__ import annotations

from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import SMALL
from svipctl.visuals.text import fitted, text_width
from svipctl.visuals.tiles import Sheet

_BETWEEN = 0.2
"""Room between the two texts of a caption, inches."""


def caption(sheet: Sheet, one: Inspection, x: float, y: float, room: float, *, weight: str = "normal") -> None:
    """Write a line `room` inches wide, with the class on the left and the answer on the right."""
    right = status_line(one, max(room - _BETWEEN - text_width(one.label, SMALL, weight), 0.6 * room))
    sheet.text(x, y, one.label, room=room - _BETWEEN - text_width(right), weight=weight)
    sheet.text(x + room, y, right, ha="right", muted=True)


def status_line(one: Inspection, room: float) -> str:
    """Return the answer, and if the class of the image is seen, in a line at most `room` inches wide."""
    parts = [] if one.is_seen is None else ["seen" if one.is_seen else "unseen"]
    if one.is_right:
        return " · ".join([*parts, "classified correctly"])
    start = " · ".join([*parts, "classified as "])
    return start + fitted(one.answer.name, room - text_width(start))
