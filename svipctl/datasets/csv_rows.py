"""A table that people made by hand or in a spreadsheet: a CSV file in UTF-8.

Free of heavy imports, so that completion can use it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from svipctl.errors import DataError

_SEPARATORS = {";": "semicolons", "\t": "tabs"}


def csv_rows(path: Path) -> list[list[str]]:
    """Its rows, every cell stripped; empty rows are left out.

    Raises:
        DataError: There is no such file, it is no CSV in UTF-8, or there is something else than commas between its columns.

    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError as error:
        raise DataError(f"there is no table {path}", todo="name a CSV file, or write it") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable CSV file in UTF-8", why=str(error)) from error
    if rows and len(rows[0]) == 1:
        for separator, name in _SEPARATORS.items():
            if separator in rows[0][0]:
                raise DataError(
                    f"{path} has {name} between its columns",
                    why="as spreadsheets write it where the decimal point is a comma" if separator == ";" else "",
                    todo="save it with commas between columns and points in numbers",
                )
    return rows


def is_group_row(row: Sequence[str]) -> bool:
    """Return whether the first row below the header names groups: `group` or nothing comes first, and no cell is a number.

    A class may be called `group` too: its cells are numbers.
    """
    return row[0].strip().lower() in ("", "group") and not any(is_number(cell) for cell in row[1:])


def is_number(cell: str) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
