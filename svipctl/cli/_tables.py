"""Tables on a terminal, drawn by rich so that no letter is lost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import ASCII2, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NARROWEST = 12
"""Letters in a line that a column of words keeps, however narrow the terminal is."""


def draw(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, ruled: bool) -> None:
    """Print the table to stdout; a column is one of words, to the left, or of figures, to the right.

    Nothing is cut, since a name or a figure without its end is another one: words go on in the next line, figures stay whole,
    and where that does not fit, the table is wider than the terminal.
    """
    console = Console()
    cells = list(zip(columns, *rows))
    words = [number == 0 or any(cell[:1].isalpha() for cell in column[1:]) for number, column in enumerate(cells)]
    natural = [max(map(cell_len, column)) for column in cells]
    table = Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD if ruled else ASCII2,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    rules = 2 * len(columns) + 1  # a rule before each column and after the last, and a space within
    widths = fitting(natural, [min(n, _NARROWEST) if w else n for n, w in zip(natural, words)], console.width - rules)
    for column, is_words, width in zip(columns, words, widths):
        table.add_column(column, justify="left" if is_words else "right", overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # a name with brackets is no markup
    console.width = max(console.width, sum(widths) + rules)
    console.print(table)


def fitting(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths whose sum is at most `room`, the widest made narrower first; none goes below its least, room or no room."""
    widths = list(natural)
    while sum(widths) > room:
        shrinkable = [number for number, width in enumerate(widths) if width > least[number]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=widths.__getitem__)] -= 1
    return widths
