"""Build tables of candidate classes and their attributes: of a data set, a CSV file, a DataFrame or a mapping."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark, magnitude_problem
from svipctl.datasets.csv_rows import csv_rows, is_group_row, number
from svipctl.datasets.names import BUILT_IN
from svipctl.errors import DataError, SvipError, nearest, shortened
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.network import check_same_benchmark, value_range
from svipctl.text_files import same_spelling

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = 20

AttributeVector = Sequence[float] | NDArray[np.floating] | Mapping[str, float]
"""Attributes of a class: K values in the order of the model's attributes, or values by attribute name."""


@dataclass(frozen=True)
class ClassTable:
    """C candidate classes with K attributes."""

    classes: tuple[str, ...]
    class_attributes: NDArray[np.float64]
    """(C, K), in the data set's range, not normalized."""
    seen: NDArray[np.bool_]
    """(C,) True for seen classes, recognized by their names; gamma is subtracted from their scores."""

    @classmethod
    def of(cls, benchmark: Benchmark, seen_classes: Collection[str]) -> ClassTable:
        """Return the classes of a data set."""
        return cls(benchmark.classes, benchmark.class_attributes, _is_seen(benchmark.classes, seen_classes))

    def extended(self, others: ClassTable) -> ClassTable:
        """Return these classes followed by the others.

        Raises:
            DataError: A class is in both tables.

        """
        shared = sorted(set(self.classes).intersection(others.classes))
        if shared:
            raise DataError(
                f"the run already has {'classes' if len(shared) > 1 else 'a class'} of that name: "
                f"{', '.join(shared[:5])}",
                todo="rename them in the file, or omit --extend so that the file replaces the run's classes",
            )
        return ClassTable(
            self.classes + others.classes,
            np.concatenate([self.class_attributes, others.class_attributes]),
            np.concatenate([self.seen, others.seen]),
        )

    def indistinguishable(self) -> list[tuple[str, str]]:
        """Return pairs of classes whose attribute vectors are parallel, so that no image can distinguish them."""
        directions = self.class_attributes / np.linalg.norm(self.class_attributes, axis=1, keepdims=True)
        first: dict[bytes, str] = {}
        pairs = []
        for name, row in zip(self.classes, np.round(directions, 9) + 0.0):
            known = first.setdefault(row.tobytes(), name)
            if known != name:
                pairs.append((known, name))
        return pairs


Classes: TypeAlias = "str | Path | ClassTable | Mapping[str, AttributeVector] | DataFrame"
"""A class table in any form: a CSV file, a mapping from class names, or a DataFrame."""


def candidate_classes(
    metadata: Metadata, opened: Callable[[], Benchmark], given: Classes | None = None, *, extend: bool = False
) -> ClassTable:
    """Return the classes that a model chooses from.

    Args:
        metadata: Metadata of the model.
        opened: Function that opens the data set that the model was trained on; called if its classes are needed.
        given: A class table in any form that replaces the data set's classes, or with `extend` follows them. Its values
            must be in the range of the model's own; a UserWarning says if a checkpoint does not record that range.
        extend: Append the given classes instead of replacing.

    Raises:
        DataError: The table cannot be used, or the data set is missing or another one.

    """
    opened = cache(opened)  # an older checkpoint may need it for the range of values and for its classes
    values, others = metadata.value_range, None
    if given is not None:
        if values is None and not isinstance(given, ClassTable):
            values = _range_in_data(metadata, opened)
        others = class_table_from(given, metadata.attributes, metadata.seen_classes, values)
        if not extend:
            return others
    benchmark = opened()
    check_same_benchmark(metadata, benchmark)
    own = ClassTable.of(benchmark, metadata.seen_classes)
    return own if others is None else own.extended(others)


def _range_in_data(metadata: Metadata, opened: Callable[[], Benchmark]) -> tuple[float, float] | None:
    """Return the range of the data set's values for a checkpoint that does not record it; None, with a warning, if the
    data set is missing or would have to be drawn.
    """
    why = f"{metadata.dataset} is not opened for it"
    try:
        if metadata.dataset not in BUILT_IN:
            return value_range(opened().class_attributes)
    except SvipError as error:
        why = error.what
    warnings.warn(
        "the values of the class table are not checked, because the checkpoint does not record the range of the class "
        f"attributes that it was trained with: {why}",
        stacklevel=3,
    )
    return None


def read_class_table(
    path: Path,
    attributes: Sequence[str],
    *,
    seen_classes: Collection[str] = (),
    values: tuple[float, float] | None = None,
) -> ClassTable:
    """Read a CSV file: a header `class,<attribute>,...` in any order of columns, then one class per row.

    The `attributes.csv` of a data folder is such a file; its row of group names is skipped.

    Args:
        path: The file, in UTF-8.
        attributes: Names that the model was trained with, in its order; the columns must have exactly these names.
        seen_classes: Names of the classes that the model was trained on.
        values: Lowest and highest value allowed; any finite one if None.

    Raises:
        DataError: Lists every problem found.

    """
    rows: list[list[Any]] = [*csv_rows(path)]
    if not rows:
        raise DataError(
            f"{path} is empty", todo="the first row must be class,<attribute>,... and one row per class follows"
        )
    if len(rows) > 1 and is_group_row(rows[1]):
        rows[1] = []
    return _checked_table(f"the class table {path}", rows, attributes, seen_classes, values)


def class_table_from(
    classes: Classes,
    attributes: Sequence[str],
    seen_classes: Collection[str] = (),
    values: tuple[float, float] | None = None,
) -> ClassTable:
    """Build a class table from any form that the Python API accepts.

    Args:
        classes: The path of a CSV file, a DataFrame (names in a column `class` or in the index), or a mapping from
            class names to attribute vectors (K,) or to mappings from attribute names to values.
        attributes: As for `read_class_table`.
        seen_classes: As for `read_class_table`.
        values: As for `read_class_table`.

    Raises:
        DataError: Lists every problem found.

    """
    if isinstance(classes, ClassTable):
        shape = (len(classes.classes), len(attributes))
        table, seen = np.asarray(classes.class_attributes), np.asarray(classes.seen)
        if table.shape != shape or seen.shape != shape[:1]:
            raise _refusal("the class table", [f"it is not a table of {shape[0]} classes with {shape[1]} attributes"])
        rows = [[name, *row] for name, row in zip(classes.classes, table.tolist())]
        checked = _checked_table("the class table", [["class", *attributes], *rows], attributes, (), values)
        return replace(checked, classes=classes.classes, seen=seen.astype(bool))
    if isinstance(classes, str | Path):
        return read_class_table(Path(classes), attributes, seen_classes=seen_classes, values=values)
    if isinstance(classes, Mapping):
        header, rows = _rows_of_mapping(classes, attributes)
    elif not hasattr(classes, "columns"):
        raise DataError(
            f"a {type(classes).__name__} is not a class table",
            todo="pass a CSV file, a DataFrame, or a mapping from class names to attribute values",
        )
    else:
        if list(classes.columns).count("class") > 1:
            raise _refusal("the class table", ["column 'class' appears twice"])
        frame = classes.set_index("class") if "class" in classes.columns else classes
        header = [str(column) for column in frame.columns]
        columns = [frame.iloc[:, number].to_numpy() for number in range(frame.shape[1])]
        # As text, which is not a number: numpy's dates would become whole numbers.
        columns = [one.astype(str) if one.dtype.kind in "mM" else one for one in columns]
        names = ["" if lost else name for name, lost in zip(frame.index, frame.index.to_flat_index().isna())]
        rows = [[name, *row] for name, *row in zip(names, *(one.tolist() for one in columns))]
    return _checked_table("the class table", [["class", *header], *rows], attributes, seen_classes, values)


def _rows_of_mapping(classes: Mapping[str, Any], attributes: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """Return a header and one row per class; values without names are in the order of the attributes."""
    vectors = {name: vector.to_dict() if hasattr(vector, "to_dict") else vector for name, vector in classes.items()}
    for name, vector in classes.items():
        if hasattr(vector, "to_dict") and len(vectors[name]) < len(vector):
            raise _refusal("the class table", [f"class {str(name)!r} has two values of the same name"])
    named = dict.fromkeys(key for vector in vectors.values() if isinstance(vector, Mapping) for key in vector)
    known = [name for name in attributes if name in named]
    header = [*known, *(str(key) for key in named if key not in known)] or list(attributes)
    rows = []
    for name, vector in vectors.items():
        by_name = isinstance(vector, Mapping)
        cells = [vector.get(column, "") for column in header] if by_name else _cells(vector)
        rows.append([name, *cells])
    return header, rows


def _cells(vector: Any) -> list[Any]:
    """Return the values of an attribute vector; one cell that is not a number for something else."""
    try:
        cells = np.atleast_1d(vector)
        return [vector] if cells.dtype.kind in "mM" else cells.tolist()  # dates would become whole numbers
    except (RuntimeError, TypeError, ValueError) as error:  # a tensor that requires a gradient, lists of lengths
        return [str(error)]


def _checked_table(
    title: str,
    rows: Sequence[Sequence[Any]],
    attributes: Sequence[str],
    seen_classes: Collection[str],
    values: tuple[float, float] | None,
) -> ClassTable:
    """Check a header and rows of cells (empty rows are skipped), and sort the columns by the attributes."""
    header = [_plain(name) for name in rows[0][1:]]
    attributes = [_plain(name) for name in attributes]
    problems = _column_problems(header, attributes)
    if problems:
        raise _refusal(title, problems)
    order = [header.index(name) for name in attributes]
    classes: dict[str, None] = {}
    table: list[list[float]] = []
    for place, row in enumerate(rows[1:], 2):
        if not row:
            continue
        name = _plain(row[0])
        label = f"class {name!r}"
        if not name:
            problems.append(f"row {place} has no class name")
        elif name in classes:
            problems.append(f"{label} appears twice")
        if len(row) != len(header) + 1:
            problems.append(f"{label} has {len(row) - 1} values for {len(header)} attributes")
            continue
        numbers = [
            _value(row[column + 1], attribute, label, values, problems) for column, attribute in zip(order, attributes)
        ]
        if problem := magnitude_problem(np.array(numbers)):
            problems.append(f"{label} has {problem}")
        classes[name] = None
        table.append(numbers)
    if not classes and not problems:
        problems.append("it has a header, but no class")
    if problems:
        raise _refusal(title, problems)
    return ClassTable(tuple(classes), np.array(table, dtype=np.float64), _is_seen(classes, seen_classes))


def _column_problems(header: list[str], attributes: Sequence[str]) -> list[str]:
    given, known = Counter(header), set(attributes)
    unknown = [name for name in dict.fromkeys(header) if name not in known]
    missing = [name for name in attributes if name not in given]
    if len(missing) == len(attributes):
        return [
            f"none of its {len(header)} columns is one of the {len(attributes)} attributes of the run "
            f"({attributes[0]}, ...): the table is for other attributes"
        ]
    problems = [f"column {name!r} appears twice" for name, count in sorted(given.items()) if count > 1]
    problems += [f"{len(unknown)} columns are not attributes of the run"] if len(unknown) > _SHOWN else []
    for name in unknown[:_SHOWN]:
        meant = get_close_matches(name, missing, n=1, cutoff=0.8)
        if meant:
            missing.remove(meant[0])
        near = f"did you mean {meant[0]!r}?" if meant else nearest(name, attributes)
        problems.append(f"column {name!r} is not an attribute of the run: {near}")
    return problems + [f"attribute {name!r} has no column" for name in missing]


def _value(cell: Any, attribute: str, title: str, values: tuple[float, float] | None, problems: list[str]) -> float:
    """Return the number in a cell; 1 for a cell with a problem, so that its class is not also reported as empty."""
    try:
        value = number(cell)
    except ValueError as error:
        problems.append(f"{title}, {attribute!r}: {error}")
        return 1.0
    if values and not values[0] <= value <= values[1]:
        problems.append(
            f"{title}, {attribute!r}: {value:g} is outside the range of the run's class attributes, {values[0]:g} to {values[1]:g}"
        )
        return 1.0
    return value


def _plain(name: object) -> str:
    """Return a name as a cell of a CSV file is read: in NFC, without spaces around it."""
    return "" if name is None else same_spelling(str(name).strip())


def _is_seen(classes: Iterable[str], seen_classes: Collection[str]) -> NDArray[np.bool_]:
    """Return an array (C,) of bools, True for seen classes."""
    seen = {_plain(name) for name in seen_classes}
    return np.array([_plain(name) in seen for name in classes], dtype=bool)


def _refusal(title: str, problems: list[str]) -> DataError:
    return DataError(
        f"{title} cannot be used: {len(problems)} problem{'s' if len(problems) > 1 else ''}",
        why="- " + shortened(problems, _SHOWN, "\n- "),
        todo="fix the table: class,<attribute>,... in the first row, then one class per row",
    )
