"""Everything the page shows that compares runs of one data set, evaluated on the same images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError
from svipctl.evaluation.bootstrap import paired_intervals
from svipctl.evaluation.evaluation import ModelEvaluation
from svipctl.evaluation.per_class import per_class, reading_row
from svipctl.evaluation.protocols import ProtocolResults
from svipctl.runs.run import Run
from svipctl.settings.layers import flatten
from svipctl.settings.schema import Settings
from svipctl.version import __version__
from svipctl.visuals import curves
from svipctl.visuals.history import read_history
from svipctl.visuals.report import facts
from svipctl.visuals.report.pictures import Chart, panel

MOST_CHANGED = 12
_OF_THE_RUN = frozenset(["name", "data_dir", "runs_dir", "dataset"])


@dataclass(frozen=True)
class Candidate:
    """A run with its evaluation."""

    label: str
    run: Run
    measured: ModelEvaluation


@dataclass(frozen=True)
class ComparedCell:
    """A figure of one run, and how much it is above the first run's."""

    cell: facts.Cell | None
    difference: facts.Cell | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        one = self.difference
        return one is not None and one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)


@dataclass(frozen=True)
class ComparedRow:
    """A figure of a protocol, of each run."""

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
    """Something that is not the same in all runs."""

    key: str
    values: list[str]


@dataclass(frozen=True)
class ChangedClass:
    """A class and its accuracy under each run, shares of 1."""

    name: str
    seen: bool
    accuracies: list[float]


@dataclass(frozen=True)
class Comparison:
    """What the template shows."""

    title: str
    dataset: str
    version: str
    runs: list[str]
    recipes: list[str]
    commits: list[str]
    images: dict[str, int]
    warnings: list[str]
    rows: list[ComparedRow]
    selection: list[tuple[str, list[str]]]
    configuration: list[Difference]
    environment: list[Difference]
    reading: list[str]
    classes: list[ChangedClass]
    charts: list[Chart]
    commands: list[list[str]]

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
                    why=f"{values[0]} and {value}: their numbers cannot be compared",
                    todo="compare runs of one data set and one fold",
                )
    if len(set(labels)) < len(labels):
        raise ConfigError("a run is named twice", todo="name different runs")


def check_same_images(labels: Sequence[str], benchmarks: Sequence[Benchmark], settings: Sequence[Settings]) -> None:
    """Raise ConfigError unless all runs are scored on the same images, and in the same order."""
    scored = []
    for benchmark, one in zip(benchmarks, settings):
        split = benchmark.split(one.train.fold)
        names = [benchmark.images[index] for index in (*split.seen, *split.unseen)]
        scored.append((benchmark.root.resolve(), names))
    for label, found in zip(labels, scored):
        if found != scored[0]:
            raise ConfigError(
                f"{labels[0]} and {label} are not scored on the same images",
                why=f"{scored[0][0]} and {found[0]}" if found[0] != scored[0][0] else "their images differ",
                todo="compare runs of one data set",
            )


def compare(candidates: Sequence[Candidate], *, resamples: int, seed: int) -> Comparison:
    """Put the page together.

    Args:
        candidates: At least two that `check_same_data` lets pass; differences are to the first.
        resamples: Of the bootstrap behind the intervals of the differences; 0 for none.
        seed: Of it.

    """
    evaluations = {one.label: one.measured.results for one in candidates}
    documents = [one.measured.document for one in candidates]
    settings = [one.run.settings() for one in candidates]
    environments = [facts.environment(one.run) for one in candidates]
    labels = [one.label for one in candidates]
    warnings = [
        f"{one.label}: {warning}" for one, document in zip(candidates, documents) for warning in document["warnings"]
    ]
    return Comparison(
        title=" and ".join(labels) if len(labels) == 2 else f"{len(labels)} runs",
        dataset=documents[0]["dataset"],
        version=__version__,
        runs=labels,
        recipes=[one.measured.model.metadata.recipe for one in candidates],
        commits=[str(found.get("git_commit") or "") for found in environments],
        images=documents[0]["images"],
        warnings=warnings,
        rows=_rows(candidates, resamples, seed),
        selection=_selection(documents),
        configuration=_differences([flatten(one) for one in settings], _OF_THE_RUN),
        environment=_differences([dict(facts.environment_rows(found)) for found in environments]),
        reading=[reading_row(one) for one in evaluations.values()],
        classes=_changed_classes(candidates),
        charts=_charts(candidates, evaluations),
        commands=[
            facts.commands(one.run, own, document.get("development"), own.dataset)[:1]
            for one, own, document in zip(candidates, settings, documents)
        ],
    )


def _rows(candidates: Sequence[Candidate], resamples: int, seed: int) -> list[ComparedRow]:
    tables = [{row.name: row for row in facts.protocol_rows(one.measured.document)} for one in candidates]
    first = candidates[0].measured.results
    paired = [
        paired_intervals(
            first.answers,
            _gammas(first),
            one.measured.results.answers,
            _gammas(one.measured.results),
            resamples=resamples,
            seed=seed,
        )
        if resamples and first.images["unseen"]
        else {}
        for one in candidates[1:]
    ]
    rows = []
    for protocol, meaning in facts.MEANINGS.items():
        for figure in facts.FIGURES:
            cells = [table[protocol].cells.get(figure) if protocol in table else None for table in tables]
            if any(cell is not None for cell in cells):
                compared = [ComparedCell(cells[0], None)]
                for cell, intervals in zip(cells[1:], paired):
                    bounds = intervals.get(protocol, {}).get("value" if protocol == "ausuc" else figure)
                    compared.append(ComparedCell(cell, _difference(cells[0], cell, bounds)))
                rows.append(ComparedRow(protocol, "area" if protocol == "ausuc" else figure, meaning, compared))
    return rows


def _difference(
    first: facts.Cell | None, other: facts.Cell | None, bounds: tuple[float, float] | None
) -> facts.Cell | None:
    if first is None or other is None:
        return None
    low, high = (100 * bound for bound in bounds) if bounds else (None, None)
    return facts.Cell(other.value - first.value, low, high)


def _gammas(evaluation: ProtocolResults) -> dict[str, float]:
    rows = ("gzsl", "gzsl-calibrated", "gzsl-oracle")
    return {row: evaluation.rows[row].get("gamma", 0.0) for row in rows if row in evaluation.rows}


def _selection(documents: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    tables = [dict(facts.selection_rows(document)) for document in documents]
    names = dict.fromkeys(name for table in tables for name in table)
    rows = []
    for name in names:
        for figure, label in (("auc", "AUC"), ("recall", "recall")):
            values = [table.get(name, {}).get(figure) for table in tables]
            if any(value is not None for value in values):
                rows.append((f"{label} against {name}", ["–" if one is None else f"{one:.1f}" for one in values]))
    return rows


def _differences(tables: Sequence[dict[str, Any]], ignored: frozenset[str] = frozenset()) -> list[Difference]:
    keys = dict.fromkeys(key for table in tables for key in table if key not in ignored)
    found = []
    for key in keys:
        values = [json.dumps(table[key], default=str, ensure_ascii=False) if key in table else "–" for table in tables]
        if len(set(values)) > 1:
            found.append(Difference(key, [value.strip('"') for value in values]))
    return found


def _changed_classes(candidates: Sequence[Candidate]) -> list[ChangedClass]:
    """Those whose accuracy differs most between runs."""
    tables = []
    for one in candidates:
        names = one.measured.classes
        row = reading_row(one.measured.results)
        tables.append([(found, found.accuracy.get(row, 0.0)) for found in per_class(one.measured.results, names)])
    classes = [
        ChangedClass(found[0][0].name, found[0][0].seen, [accuracy for _, accuracy in found])
        for found in zip_longest(*tables)
    ]
    changed = [one for one in classes if max(one.accuracies) > min(one.accuracies)]
    return sorted(changed, key=lambda one: min(one.accuracies) - max(one.accuracies))[:MOST_CHANGED]


def _charts(candidates: Sequence[Candidate], evaluations: dict[str, ProtocolResults]) -> list[Chart]:
    charts = []
    if any("ausuc" in one.rows for one in evaluations.values()):
        charts.append(
            panel(
                "Seen against unseen",
                "Open marks were chosen on the scored images.",
                curves.draw_seen_unseen,
                evaluations,
            )
        )
    histories = {one.label: read_history(one.run) for one in candidates}
    for name, title in curves.OVERLAID.items():
        if any(len(history.epoch_column(name)[0]) for history in histories.values()):
            charts.append(panel(title, "After each epoch.", curves.draw_overlaid, histories, name))
    return charts
