"""Tables on a terminal, drawn by rich so that no letter is lost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import ASCII2, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_NARROWEST = 12
"""Least width of a column of words that has as many letters."""


def draw(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, ruled: bool) -> None:
    """Print the table to stdout; columns of words are aligned to the left, columns of figures to the right.

    Nothing is cut, since a name or a figure without its end is another one: words wrap, figures do not, and a table that
    does not fit so is wider than the terminal.
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
    least = 1
    for number, cells in enumerate(zip(columns, *rows)):
        width = max(map(cell_len, cells))
        is_words = number == 0 or any(cell[:1].isalpha() for cell in cells[1:])
        width = min(width, _NARROWEST) if is_words else width
        justify: JustifyMethod = "left" if is_words else "right"
        table.add_column(cells[0], justify=justify, overflow="fold", no_wrap=not is_words, min_width=width)
        least += width + 2  # a rule and a space
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # a name with brackets is no markup
    console.width = max(console.width, least)
    console.print(table)
