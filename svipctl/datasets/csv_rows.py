"""Read CSV files in UTF-8 that people write by hand or in a spreadsheet.

It has no heavy imports, so that completion can use it.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

from svipctl.errors import DataError, explained_damage
from svipctl.text_files import read_text, same_spelling

_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


def csv_rows(path: Path) -> list[list[str]]:
    """Return the rows of a table, with every cell stripped and in NFC, without empty rows.

    Raises:
        DataError: The file is missing, not a CSV in UTF-8, or has other separators than commas.

    """
    text = read_text(path, what="table", todo="pass a CSV file, or create it")
    with explained_damage(path, "is not a readable CSV file", csv.Error):
        cells = [[same_spelling(cell.strip()) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    rows = [row for row in cells if any(row)]
    if rows and len(rows[0]) == 1:
        for separator, name in _SEPARATORS.items():
            if separator in rows[0][0]:
                raise DataError(
                    f"{path} has {name} between its columns",
                    why="spreadsheets write it in locales with a decimal comma" if separator == ";" else "",
                    todo="save it with commas between columns and points in numbers",
                )
    return rows


def is_group_row(row: Sequence[str]) -> bool:
    """Return True if the first row below the header names groups: it starts with `group` or nothing, without numbers.

    A class may be called `group` too: its cells are numbers.
    """
    return row[0].strip().lower() in ("", "group") and not any(is_number(cell) for cell in row[1:])


def is_number(cell: str) -> bool:
    """Return whether a cell can be read as a number."""
    return _NUMBER.fullmatch(cell) is not None


def number(cell: object) -> float:
    """Return the finite number in a cell: ASCII digits with a point or an exponent, as every spreadsheet writes them.

    Python's own `float` also takes `1_000`, `infinity`, `nan` and the digits of every script.

    Args:
        cell: Text, or a number of Python or numpy from a table in memory.

    Raises:
        ValueError: The cell is not a number, or too large.

    """
    if isinstance(cell, bytes) or (isinstance(cell, str) and not (is_number(cell) or _NOT_FINITE.fullmatch(cell))):
        raise ValueError(f"{cell!r} is not a number")
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{cell!r} is not a number") from error
    if not math.isfinite(value):
        raise ValueError(f"{cell} is not a finite number")
    return value
