"""Collect the contents of the comparison of runs of one data set, evaluated on the same images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError
from svipctl.evaluation.bootstrap import Interval, paired_intervals
from svipctl.evaluation.per_class import ClassFigures, per_class, reading_row
from svipctl.evaluation.protocols import ProtocolResults
from svipctl.evaluation.result import ModelEvaluation
from svipctl.runs.run import Run
from svipctl.settings.keys import flatten
from svipctl.settings.schema import Settings
from svipctl.visuals.history import read_history
from svipctl.visuals.report import charts, tables
from svipctl.visuals.report.pictures import Chart
from svipctl.visuals.report.tables import Cell

MOST_CHANGED = 12
_OF_THE_RUN = ("name", "data_dir", "runs_dir", "dataset")


@dataclass(frozen=True)
class Candidate:
    """A run with its evaluation."""

    label: str
    run: Run
    evaluation: ModelEvaluation

    @cached_property
    def environment(self) -> dict[str, str]:
        """The table of the environment of its training."""
        return tables.environment(self.run)

    @property
    def reading(self) -> str:
        """Protocol for the run's single answers."""
        return reading_row(self.evaluation.results)

    @property
    def gamma(self) -> str:
        """Gamma of single answers, and its origin."""
        return str(self.evaluation.model.gamma)

    @property
    def command(self) -> str:
        """Command that trains the run again."""
        development = self.evaluation.document.get("development")
        return tables.training_command(self.run, self.run.settings(), development)


@dataclass(frozen=True)
class ComparedCell:
    """A metric of one run, and its difference to the first run's."""

    cell: Cell | None
    difference: Cell | None

    @property
    def is_clear(self) -> bool:
        """True if the interval of the difference excludes 0."""
        one = self.difference
        return one is not None and one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)


@dataclass(frozen=True)
class ComparedRow:
    """A metric of a protocol, of each run."""

    protocol: str
    figure: str
    meaning: str
    cells: list[ComparedCell]

    def document(self) -> dict[str, Any]:
        """Return the entry of `svipctl visualize compare --json`."""
        differences = [one.difference for one in self.cells]
        return {
            "protocol": self.protocol,
            "figure": self.figure,
            "values": [None if one.cell is None else one.cell.value for one in self.cells],
            "differences": [None if one is None else one.value for one in differences],
            "intervals": [None if one is None or one.low is None else [one.low, one.high] for one in differences],
        }


@dataclass(frozen=True)
class Difference:
    """A setting, or a line of the environment, that differs between runs."""

    key: str
    values: list[str]


@dataclass(frozen=True)
class Comparison:
    """Values that the template of a comparison shows."""

    title: str
    dataset: str
    images: dict[str, int]
    candidates: Sequence[Candidate]
    rows: list[ComparedRow]
    selection: dict[str, list[float | None]]
    configuration: list[Difference]
    environment: list[Difference]
    classes: list[tuple[ClassFigures, list[float]]]
    """Classes whose accuracy differs most between runs, with the accuracies as shares of 1."""
    charts: list[Chart]

    @property
    def warnings(self) -> list[str]:
        """Warnings of the evaluations, each with its run."""
        return [f"{one.label}: {warning}" for one in self.candidates for warning in one.evaluation.warnings]

    def document(self) -> dict[str, Any]:
        """Return the data set, rows and different settings as `svipctl visualize compare --json` shows them."""
        configuration = {one.key: one.values for one in self.configuration}
        return {
            "dataset": self.dataset,
            "rows": [row.document() for row in self.rows],
            "configuration": configuration,
        }


def check_same_data(labels: Sequence[str], settings: Sequence[Settings]) -> None:
    """Raise ConfigError unless all runs are scored on the same images: one data set, one fold."""
    for what, values in (
        ("data sets", [dataset_name(one.dataset) for one in settings]),
        ("folds", [f"fold {one.train.fold}" if one.train.fold else "the test split" for one in settings]),
    ):
        for label, value in zip(labels, values):
            if value != values[0]:
                raise ConfigError(
                    f"{labels[0]} and {label} are of different {what}",
                    why=f"{values[0]} and {value}: their results cannot be compared",
                    todo="compare runs of one data set and one fold",
                )
    if len(set(labels)) < len(labels):
        raise ConfigError("a run is given twice", todo="pass different runs")


def check_same_images(labels: Sequence[str], benchmarks: Sequence[Benchmark], settings: Sequence[Settings]) -> None:
    """Raise ConfigError unless all runs are scored on the same images, and in the same order."""
    roots, images = [], []
    for benchmark, one in zip(benchmarks, settings):
        split = benchmark.split(one.train.fold)
        roots.append(benchmark.root.resolve())
        images.append([benchmark.images[index] for index in (*split.seen, *split.unseen)])
    for label, root, names in zip(labels, roots, images):
        if (root, names) != (roots[0], images[0]):
            raise ConfigError(
                f"{labels[0]} and {label} are not scored on the same images",
                why=f"{roots[0]} and {root}" if root != roots[0] else "their images differ",
                todo="compare runs of one data set",
            )


def compare(candidates: Sequence[Candidate], *, resamples: int, seed: int) -> Comparison:
    """Return the contents of a comparison.

    Args:
        candidates: At least two that `check_same_data` accepts; differences are to the first.
        resamples: Bootstrap resamples behind the intervals of the differences; 0 for none.
        seed: Seed of the bootstrap.

    """
    labels = [one.label for one in candidates]
    documents = [one.evaluation.document for one in candidates]
    return Comparison(
        title=" and ".join(labels) if len(labels) == 2 else f"{len(labels)} runs",
        dataset=documents[0]["dataset"],
        images=documents[0]["images"],
        candidates=candidates,
        rows=_rows(candidates, resamples, seed),
        selection=_aligned([_selection(document) for document in documents]),
        configuration=_differences([flatten(one.run.settings()) for one in candidates], _OF_THE_RUN),
        environment=_differences([one.environment for one in candidates]),
        classes=_changed_classes(candidates),
        charts=charts.comparison_charts(
            {one.label: one.evaluation.results for one in candidates},
            {one.label: read_history(one.run) for one in candidates},
        ),
    )


def _aligned(tables: Sequence[Mapping[str, Any]], missing: Any = None) -> dict[str, list[Any]]:
    """Return the values of each key in each table."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return {key: [table.get(key, missing) for table in tables] for key in keys}


def _rows(candidates: Sequence[Candidate], resamples: int, seed: int) -> list[ComparedRow]:
    protocols = _aligned([tables.protocol_rows(one.evaluation.document) for one in candidates])
    first, *others = (one.evaluation.results for one in candidates)
    paired = [_paired(first, other, resamples, seed) for other in others]
    rows = []
    for protocol, meaning in tables.MEANINGS.items():
        for figure in tables.FIGURES:
            cells = [row.cells.get(figure) if row else None for row in protocols.get(protocol, [])]
            if any(cells):
                compared = [ComparedCell(cells[0], None)]
                for cell, intervals in zip(cells[1:], paired):
                    bounds = intervals.get(protocol, {}).get(figure)
                    compared.append(ComparedCell(cell, _difference(cells[0], cell, bounds)))
                rows.append(ComparedRow(protocol, "area" if figure == "value" else figure, meaning, compared))
    return rows


def _paired(
    first: ProtocolResults, other: ProtocolResults, resamples: int, seed: int
) -> dict[str, dict[str, Interval]]:
    """Return the intervals of the differences of two runs, by protocol and figure."""
    if not resamples or not first.images["unseen"]:
        return {}
    gammas, others = (
        {row: figures.get("gamma", 0.0) for row, figures in one.rows.items() if row.startswith("gzsl")}
        for one in (first, other)
    )
    return paired_intervals(first.answers, gammas, other.answers, others, resamples=resamples, seed=seed)


def _difference(first: Cell | None, other: Cell | None, bounds: Interval | None) -> Cell | None:
    if first is None or other is None:
        return None
    return Cell(other.value - first.value, *(100 * bound for bound in bounds or ()))


def _selection(document: Mapping[str, Any]) -> dict[str, float]:
    """Return the quality of the patch selection in one table."""
    return {
        f"{label} against {truth}": figures[figure]
        for truth, figures in tables.selection_rows(document).items()
        for figure, label in (("auc", "AUC"), ("recall", "recall"))
        if figure in figures
    }


def _differences(tables: Sequence[Mapping[str, Any]], ignored: Sequence[str] = ()) -> list[Difference]:
    texts = [
        {key: json.dumps(value, default=str, ensure_ascii=False).strip('"') for key, value in table.items()}
        for table in tables
    ]
    aligned = _aligned(texts, missing="–").items()
    return [Difference(key, values) for key, values in aligned if len(set(values)) > 1 and key not in ignored]


def _changed_classes(candidates: Sequence[Candidate]) -> list[tuple[ClassFigures, list[float]]]:
    columns = [per_class(one.evaluation.results, one.evaluation.classes) for one in candidates]
    accuracies = [
        [found.accuracy.get(one.reading, 0.0) for found in column] for one, column in zip(candidates, columns)
    ]
    rows = [(found, list(values)) for found, values in zip(columns[0], zip(*accuracies)) if len(set(values)) > 1]
    return sorted(rows, key=lambda row: min(row[1]) - max(row[1]))[:MOST_CHANGED]
