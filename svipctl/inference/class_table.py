"""The classes an image may be called: a run's own, or those of a CSV file nobody trained."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.csv_rows import csv_rows
from svipctl.datasets.group_row import is_group_row
from svipctl.errors import DataError, nearest

_SCALES = (1.0, 100.0)  # shares and percentages, the two ways attribute values are published
_SHOWN = 20


@dataclass(frozen=True)
class Candidates:
    """C classes with K attributes."""

    classes: tuple[str, ...]
    class_attributes: NDArray[np.float64]
    """(C, K), in the benchmark's range: not normalised."""
    seen: NDArray[np.bool_]
    """(C,) whether the class, by its name, was trained; gamma is subtracted from the scores of these."""

    @classmethod
    def of(cls, benchmark: Benchmark, seen_classes: Collection[str]) -> Candidates:
        """The benchmark's own classes."""
        seen = np.array([name in seen_classes for name in benchmark.classes], dtype=bool)
        return cls(benchmark.classes, benchmark.class_attributes, seen)

    def extended(self, others: Candidates) -> Candidates:
        """These classes and then the others.

        Raises:
            DataError: A class is in both.

        """
        shared = sorted(set(self.classes).intersection(others.classes))
        if shared:
            raise DataError(
                f"the run has {'classes' if len(shared) > 1 else 'a class'} of that name already: {', '.join(shared[:5])}",
                todo="rename them in the file, or leave out --extend so that the file replaces the run's classes",
            )
        return Candidates(
            self.classes + others.classes,
            np.concatenate([self.class_attributes, others.class_attributes]),
            np.concatenate([self.seen, others.seen]),
        )

    def indistinguishable(self) -> list[tuple[str, str]]:
        """Pairs of classes whose attributes point the same way, so that no image can tell them apart."""
        directions = self.class_attributes / np.linalg.norm(self.class_attributes, axis=1, keepdims=True)
        first: dict[bytes, str] = {}
        pairs = []
        for name, row in zip(self.classes, np.round(directions, 9) + 0.0):
            known = first.setdefault(row.tobytes(), name)
            if known != name:
                pairs.append((known, name))
        return pairs


def value_range(class_attributes: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest value that fits a benchmark's table: 0 to 1 or 0 to 100, wider only if the table is."""
    low, high = float(class_attributes.min()), float(class_attributes.max())
    return min(low, 0.0), next((scale for scale in _SCALES if high <= scale), high)


def read_candidates(
    path: Path,
    attributes: Sequence[str],
    *,
    seen_classes: Collection[str] = (),
    values: tuple[float, float] | None = None,
) -> Candidates:
    """Read a class table: a header `class,<attribute>,...` in any order of columns, then one class a row.

    The `attributes.csv` of a data folder is such a file (its row of group names is passed over).

    Args:
        path: The CSV file, UTF-8.
        attributes: Names the model was trained with, in its order; each must be a column and no other may be.
        seen_classes: Names of the classes it was trained on.
        values: Lowest and highest value allowed; any finite one if None.

    Raises:
        DataError: With every problem found, not only the first.

    """
    rows = csv_rows(path)
    if not rows:
        raise DataError(f"{path} is empty", todo="its first row is class,<attribute>,... and each other row a class")
    header = rows[0][1:]
    problems = _column_problems(header, attributes)
    if problems:
        raise _refusal(path, problems)
    order = [header.index(name) for name in attributes]
    classes: list[str] = []
    table: list[list[float]] = []
    for number, row in enumerate(rows[1:], 2):
        name = row[0]
        if number == 2 and is_group_row(row):
            continue
        title = f"class {name!r}"
        if not name:
            problems.append(f"row {number} has no class name")
        elif name in classes:
            problems.append(f"{title} is there twice")
        if len(row) != len(header) + 1:
            problems.append(f"{title} has {len(row) - 1} values for {len(header)} attributes")
            continue
        numbers = [
            _value(row[column + 1], attribute, title, values, problems) for column, attribute in zip(order, attributes)
        ]
        if not any(numbers):
            problems.append(f"{title} has no attribute: every value is 0")
        classes.append(name)
        table.append(numbers)
    if not classes and not problems:
        problems.append("there is no class in it, only a header")
    if problems:
        raise _refusal(path, problems)
    seen = np.array([name in seen_classes for name in classes], dtype=bool)
    return Candidates(tuple(classes), np.array(table, dtype=np.float64), seen)


def _column_problems(header: list[str], attributes: Sequence[str]) -> list[str]:
    unknown = [name for name in dict.fromkeys(header) if name not in set(attributes)]
    missing = [name for name in attributes if name not in set(header)]
    if len(missing) == len(attributes):
        return [
            f"none of its {len(header)} columns is one of the {len(attributes)} attributes of the run "
            f"({attributes[0]}, ...): it is a table of other attributes"
        ]
    problems = [f"column {name!r} is there twice" for name in sorted({n for n in header if header.count(n) > 1})]
    for name in unknown:
        meant = get_close_matches(name, missing, n=1, cutoff=0.8)
        if meant:
            missing.remove(meant[0])
        near = f"did you mean {meant[0]!r}?" if meant else nearest(name, attributes)
        problems.append(f"column {name!r} is no attribute of the run: {near}")
    return problems + [f"attribute {name!r} has no column" for name in missing]


def _value(cell: str, attribute: str, title: str, values: tuple[float, float] | None, problems: list[str]) -> float:
    """The number in a cell; 1 for a cell that is a problem, so that it is not also a class without attributes."""
    try:
        number = float(cell)
    except ValueError:
        problems.append(f"{title}, {attribute!r}: {cell!r} is not a number")
        return 1.0
    if not math.isfinite(number):
        problems.append(f"{title}, {attribute!r}: {cell} is not a finite number")
        return 1.0
    if values and not values[0] <= number <= values[1]:
        problems.append(
            f"{title}, {attribute!r}: {number:g} is outside the data set's range, {values[0]:g} to {values[1]:g}"
        )
        return 1.0
    return number


def _refusal(path: Path, problems: list[str]) -> DataError:
    shown = "\n".join(f"- {problem}" for problem in problems[:_SHOWN])
    more = f"\n- and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return DataError(
        f"the class table {path} cannot be used: {len(problems)} problem{'s' if len(problems) > 1 else ''}",
        why=shown + more,
        todo="correct the file: class,<attribute>,... in its first row, then one class a row",
    )
