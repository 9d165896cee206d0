"""Test which row of an attribute table names groups, by one rule for all readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svipctl.datasets.csv_rows import is_group_row
from svipctl.datasets.folder import open_folder
from svipctl.inference.class_table import read_class_table


@pytest.mark.parametrize(
    ("row", "groups"),
    [
        (["group", "wing", "wing"], True),
        (["Group", "wing", ""], True),
        (["", "wing", "size"], True),
        (["group", "0.5", "1"], False),
        (["group", "0.5", "wing"], False),
        (["wren", "wing", "wing"], False),
    ],
)
def test_a_row_of_group_names_has_no_number(row: list[str], groups: bool) -> None:
    assert is_group_row(row) == groups


@pytest.mark.parametrize("first", ["group", "Group", ""])
def test_a_table_of_classes_for_predict_is_read_like_that_of_a_folder(small_folder: Path, first: str) -> None:
    path = small_folder / "attributes.csv"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("group,")]
    columns = lines[0].count(",")
    path.write_text("\n".join([lines[0], ",".join([first, *(["wing"] * columns)]), *lines[1:]]) + "\n")
    benchmark = open_folder(small_folder)
    found = read_class_table(path, benchmark.attributes)
    assert found.classes == benchmark.classes
    assert np.array_equal(found.class_attributes, benchmark.class_attributes)
