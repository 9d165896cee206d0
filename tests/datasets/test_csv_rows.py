"""Test that a table is read as comma-separated values, and anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from svipctl.datasets.csv_rows import csv_rows
from svipctl.errors import DataError


def test_cells_are_stripped_and_empty_rows_and_a_byte_order_mark_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffclass, red \n\n ,\njay,  1\n".encode())
    assert csv_rows(tmp_path / "a.csv") == [["class", "red"], ["jay", "1"]]


@pytest.mark.parametrize(("text", "named"), [("class;red\njay;0,5\n", "semicolons"), ("class\tred\njay\t1\n", "tabs")])
def test_another_separator_is_named(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=f"{named} between its columns") as caught:
        csv_rows(tmp_path / "a.csv")
    assert caught.value.todo == "save it with commas between columns and points in numbers"


def test_a_table_may_have_one_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("class\njay\n")
    assert csv_rows(tmp_path / "a.csv") == [["class"], ["jay"]]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n")
    assert csv_rows(tmp_path / "a.csv") == []


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no table"):
        csv_rows(tmp_path / "a.csv")
    with pytest.raises(DataError, match="is a folder, not a file"):
        csv_rows(tmp_path)
    (tmp_path / "a.csv").write_bytes(b"class,\xff\xfe\x00\n")
    with pytest.raises(DataError, match="not text in UTF-8"):
        csv_rows(tmp_path / "a.csv")
