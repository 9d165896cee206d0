"""Test class tables: what is read, and every way in which one is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.inference.class_table import (
    ClassTable,
    candidate_classes,
    class_table_from,
    read_class_table,
)
from svipctl.inference.network import value_range
from tests.evaluation.cases import benchmark
from tests.inference.models import metadata
from tests.model.tiny import svip

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


def test_columns_are_read_by_name_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path, "class,is_large,has_bill::red,has_wing::blue", "jay,0.25,0.5,1", "wren,0,1,0")
    found = read_class_table(path, NAMES, seen_classes={"wren"})
    assert found.classes == ("jay", "wren")
    np.testing.assert_array_equal(found.class_attributes, [[0.5, 1, 0.25], [1, 0, 0]])
    assert found.seen.tolist() == [False, True]


def test_the_table_of_a_folder_with_group_names_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, "group,bill,wing,size", "jay,0,1,1", "", encoding="utf-8-sig")
    assert read_class_table(path, NAMES).classes == ("jay",)


def test_a_class_may_be_named_group(tmp_path: Path) -> None:
    assert read_class_table(write(tmp_path, HEADER, "group,0,1,1", "jay,1,0,1"), NAMES).classes == ("group", "jay")


def test_misspelt_attributes_are_named_with_the_nearest_in_both_directions(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, "class,has_bil::red,has_wing::blue,is_large", "jay,0,1,1"))
    assert "column 'has_bil::red' is not an attribute of the run: did you mean 'has_bill::red'" in text
    assert "1 problem" in text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("class,has_bill::red,has_wing::blue", "jay,0,1"), "attribute 'is_large' has no column"),
        ((HEADER + ",is_large", "jay,0,1,1,1"), "column 'is_large' appears twice"),
        ((HEADER, "jay,0,nan,1"), "class 'jay', 'has_wing::blue': nan is not a finite number"),
        ((HEADER, "jay,0,inf,1"), "inf is not a finite number"),
        ((HEADER, "jay,0,,1"), "class 'jay', 'has_wing::blue': '' is not a number"),
        ((HEADER, "jay,0,blue,1"), "'blue' is not a number"),
        (
            (HEADER, "jay,0,40,1"),
            "class 'jay', 'has_wing::blue': 40 is outside the range of the run's class attributes, 0 to 1",
        ),
        ((HEADER, "jay,0,-0.5,1"), "-0.5 is outside"),
        ((HEADER, "jay,0,0,0"), "class 'jay' has only zero attributes"),
        ((HEADER, "jay,0,1,0", "jay,1,0,0"), "class 'jay' appears twice"),
        ((HEADER, "jay,0,1"), "class 'jay' has 2 values for 3 attributes"),
        ((HEADER, ",0,1,1"), "row 2 has no class name"),
        ((HEADER,), "but no class"),
        ((), "is empty"),
    ],
)
def test_an_unusable_table_is_refused_with_its_problem(lines: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, *lines))


def test_a_table_of_other_attributes_is_one_problem(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, "class,a,b,c,d", "jay,0,1,0,1"))
    assert "1 problem" in text
    assert "none of its 4 columns is one of the 3 attributes of the run" in text


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, HEADER, "jay,0,nan,1", "jay,0,0,0", "wren,2,x,0"))
    assert "5 problems" in text
    assert all(part in text for part in ("nan", "twice", "only zero attributes", "'x'", "2 is outside"))


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path) -> None:
    assert "there is no table" in refusal(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, (0, 1)), (0, 0.93, (0, 1)), (0.02, 88, (0, 100)), (-1, 100, (-1, 100)), (0, 250, (0, 250))],
)
def test_the_range_of_a_table_is_the_scale_of_its_values(low: float, high: float, expected: object) -> None:
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


TABLE = np.array([[0.5, 1, 0.25], [1, 0, 0.75]])
CLASSES = ("jay", "wren")


def as_frame(*, classes_in: str) -> Any:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE[:, ::-1], columns=NAMES[::-1])
    if classes_in == "index":
        return frame.set_axis(CLASSES)
    frame.insert(1, "class", CLASSES)
    return frame


def as_series() -> Any:
    return dict(as_frame(classes_in="index").iterrows())


def by_name(row: np.ndarray, order: int = 1) -> dict[str, float]:
    return dict([*zip(NAMES, row.tolist())][::order])


FORMS: dict[str, Callable[[Path], Any]] = {
    "the name of a file": lambda folder: str(write(folder, HEADER, "jay,0.5,1,0.25", "wren,1,0,0.75")),
    "a file": lambda folder: write(folder, HEADER, "jay,0.5,1,0.25", "wren,1,0,0.75"),
    "a class table": lambda folder: ClassTable(CLASSES, TABLE, np.array([False, True])),
    "a frame with classes in its index": lambda folder: as_frame(classes_in="index"),
    "a frame with classes in a column": lambda folder: as_frame(classes_in="column"),
    "lists": lambda folder: dict(zip(CLASSES, TABLE.tolist())),
    "arrays": lambda folder: dict(zip(CLASSES, TABLE)),
    "tensors": lambda folder: dict(zip(CLASSES, torch.from_numpy(TABLE))),
    "mappings": lambda folder: dict(zip(CLASSES, map(by_name, TABLE))),
    "mappings in another order": lambda folder: {"jay": by_name(TABLE[0], -1), "wren": by_name(TABLE[1])},
    "a mapping before a list": lambda folder: {"jay": by_name(TABLE[0], -1), "wren": TABLE[1].tolist()},
    "a list before a mapping": lambda folder: {"jay": TABLE[0].tolist(), "wren": by_name(TABLE[1], -1)},
    "names with spaces around them": lambda folder: {
        f" {name}\t": {f"{key} ": value for key, value in by_name(row).items()} for name, row in zip(CLASSES, TABLE)
    },
    "series with names": lambda folder: as_series(),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_classes_in_every_form_give_the_same_table(form: str, tmp_path: Path) -> None:
    found = class_table_from(FORMS[form](tmp_path), NAMES, {"wren", "robin"})
    assert found.classes == CLASSES
    np.testing.assert_array_equal(found.class_attributes, TABLE)
    assert found.class_attributes.dtype == np.float64
    assert found.seen.tolist() == [False, True]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"jay": [0, 1]}, "class 'jay' has 2 values for 3 attributes"),
        ({"jay": 1.0}, "class 'jay' has 1 values for 3 attributes"),
        ({"jay": np.eye(3)}, "is not a number"),
        ({"jay": [0, np.nan, 1]}, "class 'jay', 'has_wing::blue': nan is not a finite number"),
        ({"jay": ["much", 1, 1]}, "'much' is not a number"),
        ({"jay": [0, 0, 0]}, "class 'jay' has only zero attributes"),
        ({"jay": [1e-200, 0, 0]}, "class 'jay' has attributes of up to"),
        ({"jay": np.zeros(3, "timedelta64[ns]")}, "class 'jay' has 1 values for 3 attributes"),
        ({"jay": torch.ones(3, requires_grad=True)}, "class 'jay' has 1 values for 3 attributes"),
        (ClassTable(("jay", "jay"), np.eye(3)[:2], np.ones(2, dtype=bool)), "class 'jay' appears twice"),
        (ClassTable(("jay",), np.zeros((1, 3)), np.ones(1, dtype=bool)), "class 'jay' has only zero attributes"),
        ({"jay": by_name(TABLE[0]) | {"has_tail": 1}}, "column 'has_tail' is not an attribute of the run"),
        ({"jay": by_name(TABLE[0]) | {7: 1}}, "column '7' is not an attribute of the run"),
        ({"jay": dict.fromkeys(NAMES[:2], 1)}, "attribute 'is_large' has no column"),
        ({"jay": by_name(TABLE[0]), "wren": dict.fromkeys(NAMES[:2], 1)}, "class 'wren', 'is_large': '' is not"),
        ({"jay": by_name(TABLE[0]) | {"is_large": None}}, "class 'jay', 'is_large': None is not a number"),
        ({"jay": {"furry": 1.0}}, "the table is for other attributes"),
        ({"jay": {}}, "class 'jay', 'has_bill::red': '' is not a number"),
        ({}, "but no class"),
        ({"": [0, 1, 1]}, "row 2 has no class name"),
        ({None: [0, 1, 1]}, "row 2 has no class name"),
        (TABLE, "a ndarray is not a class table"),
        (["jay"], "a list is not a class table"),
    ],
)
def test_unusable_classes_are_refused_with_their_problem(classes: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        class_table_from(classes, NAMES)
    assert message in str(caught.value)


def test_dates_in_a_frame_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({name: [1.0, 2.0] for name in NAMES}, index=["jay", "wren"])
    assert class_table_from(frame, NAMES).classes == ("jay", "wren")
    frame[NAMES[1]] = pandas.to_datetime(["2020-01-01", "2020-01-02"])
    with pytest.raises(DataError, match="class 'wren'.*is not a number"):
        class_table_from(frame, NAMES)


def test_misspelt_names_of_a_mapping_are_named_with_the_nearest() -> None:
    misspelt = by_name(TABLE[0])
    misspelt["has_bil::red"] = misspelt.pop("has_bill::red")
    with pytest.raises(DataError, match="1 problem") as caught:
        class_table_from({"jay": misspelt}, NAMES)
    assert "column 'has_bil::red' is not an attribute of the run: did you mean 'has_bill::red'?" in caught.value.why


def test_problems_of_a_frame_are_those_of_a_file() -> None:
    frame = as_frame(classes_in="column")
    frame.loc[1, "class"] = "jay"
    frame.loc[0, "is_large"] = np.nan
    with pytest.raises(DataError, match="2 problems") as caught:
        class_table_from(frame, NAMES)
    assert "class 'jay', 'is_large': nan is not a finite number" in caught.value.why
    assert "class 'jay' appears twice" in caught.value.why
    with pytest.raises(DataError, match="1 problem"):
        class_table_from(as_frame(classes_in="index").drop(columns="is_large"), NAMES)


class _WithToDict(dict[str, float]):
    """A mapping with a method `to_dict`, as of some libraries, but without the index of a series."""

    def to_dict(self) -> dict[str, float]:
        return dict(self)


def test_a_mapping_that_has_to_dict_is_read_as_a_mapping() -> None:
    plain = {name: by_name(row) for name, row in zip(CLASSES, TABLE)}
    table = class_table_from({name: _WithToDict(row) for name, row in plain.items()}, NAMES)
    assert table.class_attributes.tolist() == TABLE.tolist()


def test_a_series_with_two_values_of_a_name_is_refused() -> None:
    series = pytest.importorskip("pandas").Series([0.5, 1, 0.25, 1], index=[*NAMES, NAMES[0]])
    with pytest.raises(DataError, match="class 'jay' has two values of the same name"):
        class_table_from({"jay": series}, NAMES)


@pytest.mark.parametrize("lost", [None, np.nan, "NA", "NaT"])
@pytest.mark.parametrize("classes_in", ["index", "column"])
def test_a_row_of_a_frame_without_a_name_is_refused(lost: Any, classes_in: str) -> None:
    pandas = pytest.importorskip("pandas")
    names = pandas.Index([getattr(pandas, str(lost), lost), "wren"], dtype=object)
    frame = as_frame(classes_in=classes_in)
    frame = frame.set_axis(names) if classes_in == "index" else frame.assign(**{"class": names})
    with pytest.raises(DataError, match="row 2 has no class name"):
        class_table_from(frame, NAMES)


def test_a_frame_with_two_columns_of_names_is_refused() -> None:
    frame = as_frame(classes_in="column")
    with pytest.raises(DataError, match="column 'class' appears twice"):
        class_table_from(pytest.importorskip("pandas").concat([frame, frame[["class"]]], axis=1), NAMES)


def test_candidates_are_the_data_sets_classes_or_those_of_a_file_or_both(tmp_path: Path) -> None:
    data = benchmark(tmp_path)
    model = metadata(svip(), attributes=data.attributes, classes=data.classes, seen_classes=["a", "b"])
    own = candidate_classes(model, lambda: data)
    assert (own.classes, own.seen.tolist()) == (("a", "b", "c", "d"), [True, True, False, False])
    np.testing.assert_array_equal(own.class_attributes, data.class_attributes)
    header = "class," + ",".join(data.attributes)
    file = write(tmp_path, header, "e,0,1,0,1,0")
    assert candidate_classes(model, lambda: data, file, extend=True).classes == ("a", "b", "c", "d", "e")
    with pytest.raises(DataError, match="other classes"):
        candidate_classes(replace(model, classes=["a"]), lambda: data)


def never_opened() -> Benchmark:
    raise AssertionError("the data set is not needed")


def outside(form: str, folder: Path, attributes: Sequence[str]) -> Any:
    """Return a class table in some form with a value of 150."""
    vector = dict.fromkeys(attributes, 0.0) | {attributes[1]: 150.0}
    if form == "file":
        return write(folder, "class," + ",".join(attributes), "e," + ",".join(map(str, vector.values())))
    if form == "frame":
        return pytest.importorskip("pandas").DataFrame([vector], index=["e"])
    return {"e": vector if form == "by name" else [*vector.values()]}


@pytest.mark.parametrize("form", ["file", "frame", "by name", "vector"])
def test_values_outside_the_range_of_the_models_own_are_refused_in_every_form(form: str, tmp_path: Path) -> None:
    model = metadata(svip(), value_range=(0.0, 100.0))
    table = outside(form, tmp_path, model.attributes)
    with pytest.raises(DataError, match="150 is outside the range of the run's class attributes, 0 to 100"):
        candidate_classes(model, never_opened, table)
    with pytest.raises(DataError, match="150 is outside"):
        candidate_classes(model, never_opened, table, extend=True)
    assert candidate_classes(replace(model, value_range=(0, 150)), never_opened, table).classes == ("e",)


@pytest.mark.parametrize("dataset", ["small", "toybirds"])
def test_a_warning_says_that_a_range_is_neither_recorded_nor_in_the_data(dataset: str, tmp_path: Path) -> None:
    def missing() -> Benchmark:
        assert dataset != "toybirds", "it would be drawn"
        raise DataError("small is missing")

    model = metadata(svip(), value_range=None, dataset=dataset)
    with pytest.warns(UserWarning, match="the values of the class table are not checked, .*: (small|toybirds) is "):
        assert candidate_classes(model, missing, outside("vector", tmp_path, model.attributes)).classes == ("e",)


def test_the_range_of_a_checkpoint_that_does_not_record_it_is_the_data_sets(tmp_path: Path) -> None:
    model = metadata(svip(), value_range=None)
    table = outside("vector", tmp_path, model.attributes)
    with pytest.raises(DataError, match="150 is outside"):
        candidate_classes(model, lambda: SimpleNamespace(class_attributes=np.eye(3)), table)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("shape", "count", "value"), [((2, 4), 2, 1.0), ((3, 3), 2, 1.0), ((2, 3), 1, 1.0), ((2, 3), 2, np.nan)]
)
def test_a_table_in_memory_that_does_not_fit_is_refused(shape: tuple[int, int], count: int, value: float) -> None:
    table = ClassTable(("a", "b"), np.full(shape, value), np.ones(count, dtype=bool))
    with pytest.raises(DataError, match="the class table cannot be used"):
        class_table_from(table, NAMES)
