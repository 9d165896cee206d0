"""Draw tables on a terminal with rich, without truncating text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import ASCII2, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_NARROWEST = 12
"""Minimum width of a column of words, in which longer words are broken if whole ones do not fit."""


def draw(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, ruled: bool) -> None:
    """Print the table to stdout; columns of words are left-aligned, columns of numbers right-aligned.

    Nothing is truncated, because a truncated name or number is misleading: words wrap, numbers do not, and a table that
    does not fit is wider than the terminal.
    """
    table = Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD if ruled else ASCII2,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    console = Console()
    contents = list(zip(columns, *rows))
    is_words = [not number or any(cell[:1].isalpha() for cell in cells[1:]) for number, cells in enumerate(contents)]
    whole = [
        max(cell_len(part) for cell in cells for part in (cell.split() if words else [cell]) or [""])
        for cells, words in zip(contents, is_words)
    ]
    narrow = [min(width, _NARROWEST) if words else width for width, words in zip(whole, is_words)]
    names_whole = [*whole[:1], *narrow[1:]]
    least = next((widths for widths in (whole, names_whole) if _total(widths) <= console.width), narrow)
    spare = max(0, console.width - _total(least))
    for cells, words, width in zip(contents, is_words, least):
        justify: JustifyMethod = "left" if words else "right"
        # Exact widths: rich would narrow the widest column below the width of its words.
        more = min(spare, max(map(cell_len, cells)) - width)
        spare -= more
        table.add_column(cells[0], justify=justify, overflow="fold", no_wrap=not words, width=width + more)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # a name with brackets is not markup
    console.width = max(console.width, _total(least))
    console.print(table)


def _total(widths: Sequence[int]) -> int:
    """Return the width of a table: each column with a rule and a space."""
    return 1 + sum(width + 2 for width in widths)
