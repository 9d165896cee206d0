"""Class tables: what is read, and every way in which one is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svipctl.errors import DataError
from svipctl.inference.class_table import ClassTable, read_class_table, value_range

NAMES = ("has_bill::red", "has_wing::blue", "is_large")
HEADER = "class," + ",".join(NAMES)


def write(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "classes.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def refusal(path: Path, values: tuple[float, float] | None = (0.0, 1.0)) -> str:
    with pytest.raises(DataError) as caught:
        read_class_table(path, NAMES, values=values)
    return str(caught.value)


def test_columns_are_taken_by_name_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path, "class,is_large,has_bill::red,has_wing::blue", "jay,0.25,0.5,1", "wren,0,1,0")
    found = read_class_table(path, NAMES, seen_classes={"wren"})
    assert found.classes == ("jay", "wren")
    np.testing.assert_array_equal(found.class_attributes, [[0.5, 1, 0.25], [1, 0, 0]])
    assert found.seen.tolist() == [False, True]


def test_a_folders_own_table_with_group_names_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, "group,bill,wing,size", "jay,0,1,1", "", encoding="utf-8-sig")
    assert read_class_table(path, NAMES).classes == ("jay",)


def test_a_class_may_be_called_group(tmp_path: Path) -> None:
    assert read_class_table(write(tmp_path, HEADER, "group,0,1,1", "jay,1,0,1"), NAMES).classes == ("group", "jay")


def test_misspelt_attributes_are_named_with_the_nearest_in_both_directions(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, "class,has_bil::red,has_wing::blue,is_large", "jay,0,1,1"))
    assert "column 'has_bil::red' is no attribute of the run: did you mean 'has_bill::red'" in text
    assert "1 problem" in text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("class,has_bill::red,has_wing::blue", "jay,0,1"), "attribute 'is_large' has no column"),
        ((HEADER + ",is_large", "jay,0,1,1,1"), "column 'is_large' is there twice"),
        ((HEADER, "jay,0,nan,1"), "class 'jay', 'has_wing::blue': nan is not a finite number"),
        ((HEADER, "jay,0,inf,1"), "inf is not a finite number"),
        ((HEADER, "jay,0,,1"), "class 'jay', 'has_wing::blue': '' is not a number"),
        ((HEADER, "jay,0,blue,1"), "'blue' is not a number"),
        ((HEADER, "jay,0,40,1"), "class 'jay', 'has_wing::blue': 40 is outside the data set's range, 0 to 1"),
        ((HEADER, "jay,0,-0.5,1"), "-0.5 is outside"),
        ((HEADER, "jay,0,0,0"), "class 'jay' has no attribute: every value is 0"),
        ((HEADER, "jay,0,1,0", "jay,1,0,0"), "class 'jay' is there twice"),
        ((HEADER, "jay,0,1"), "class 'jay' has 2 values for 3 attributes"),
        ((HEADER, ",0,1,1"), "row 2 has no class name"),
        ((HEADER,), "there is no class in it"),
        ((), "is empty"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_problem(
    lines: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    assert message in refusal(write(tmp_path, *lines))


def test_a_table_of_other_attributes_is_one_problem(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, "class,a,b,c,d", "jay,0,1,0,1"))
    assert "1 problem" in text
    assert "none of its 4 columns is one of the 3 attributes of the run" in text


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, HEADER, "jay,0,nan,1", "jay,0,0,0", "wren,2,x,0"))
    assert "5 problems" in text
    assert all(part in text for part in ("nan", "twice", "every value is 0", "'x'", "2 is outside"))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    assert "there is no table" in refusal(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, (0, 1)), (0, 0.93, (0, 1)), (0.02, 88, (0, 100)), (-1, 100, (-1, 100)), (0, 250, (0, 250))],
)
def test_the_range_of_a_table_is_the_scale_it_is_written_in(low: float, high: float, expected: object) -> None:
    assert value_range(np.array([[low, high]])) == expected


def two(*names: str) -> ClassTable:
    return ClassTable(names, np.eye(len(names), 3), np.zeros(len(names), dtype=bool))


def test_extending_keeps_the_runs_classes_first_and_refuses_a_name_twice() -> None:
    whole = two("jay", "wren").extended(two("robin"))
    assert whole.classes == ("jay", "wren", "robin")
    assert whole.class_attributes.shape == (3, 3)
    with pytest.raises(DataError, match="wren"):
        two("jay", "wren").extended(two("wren"))


def test_classes_of_the_same_direction_are_found_whatever_their_length() -> None:
    table = np.array([[1, 0, 1], [0, 1, 0], [0.5, 0, 0.5]])
    found = ClassTable(("a", "b", "c"), table, np.zeros(3, dtype=bool))
    assert found.indistinguishable() == [("a", "c")]
