"""Names of classes where there is little room."""

from __future__ import annotations


def shortened(name: str, length: int = 26) -> str:
    """A name of at most so many characters; the middle is left out, because names differ at both ends."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"
