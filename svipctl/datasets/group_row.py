"""The row of an attribute table that names groups of attributes. Free of heavy imports, so that completion can use it."""

from __future__ import annotations

from collections.abc import Sequence


def is_group_row(row: Sequence[str]) -> bool:
    """Whether the first row below the header names groups: `group` or nothing comes first, and no cell is a number.

    A class may be called `group` too: its cells are numbers.
    """
    return row[0].strip().lower() in ("", "group") and not any(is_number(cell) for cell in row[1:])


def is_number(cell: str) -> bool:
    """Whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
