"""Collect the contents of the comparison of runs of one data set, evaluated on the same images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError
from svipctl.evaluation.bootstrap import Interval, paired_intervals
from svipctl.evaluation.per_class import ClassFigures, per_class, reading_row
from svipctl.evaluation.protocols import ProtocolResults
from svipctl.evaluation.result import ModelEvaluation
from svipctl.evaluation.tables import FIGURES
from svipctl.runs.run import Run
from svipctl.settings.keys import flatten
from svipctl.settings.schema import Settings
from svipctl.visuals.history import read_history
from svipctl.visuals.report import charts, tables

MOST_CHANGED = 12
_OF_THE_RUN = ("name", "data_dir", "runs_dir", "dataset")


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
        images.append(benchmark.files(split.scored))
    for label, root, names in zip(labels, roots, images):
        if (root, names) != (roots[0], images[0]):
            raise ConfigError(
                f"{labels[0]} and {label} are not scored on the same images",
                why=f"{roots[0]} and {root}" if root != roots[0] else "their images differ",
                todo="compare runs of one data set",
            )


def compare(
    runs: Sequence[Run], evaluations: Mapping[str, ModelEvaluation], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Return the values that the template `compare.html` shows.

    Args:
        runs: At least two that `check_same_data` accepts; differences are to the first.
        evaluations: Label -> evaluation, of each run.
        resamples: Bootstrap resamples behind the intervals of the differences; 0 for none.
        seed: Seed of the bootstrap.

    """
    found, labels = list(evaluations.values()), list(evaluations)
    documents, results = [one.document for one in found], [one.results for one in found]
    settings, environments = [run.settings() for run in runs], [tables.environment(run) for run in runs]
    return {
        "title": " and ".join(labels) if len(labels) == 2 else f"{len(labels)} runs",
        "dataset": documents[0]["dataset"],
        "images": documents[0]["images"],
        "warnings": [f"{label}: {warning}" for label, one in evaluations.items() for warning in one.warnings],
        "evaluations": evaluations,
        "rows": _rows(documents, results, resamples, seed),
        "selection": _aligned([_selection(document) for document in documents]),
        "configuration": _differences([flatten(one) for one in settings], _OF_THE_RUN),
        "environment": _differences(environments),
        "commits": [environment.get("git commit", "") for environment in environments],
        "commands": [
            tables.training_command(run, trained, document.get("development"))
            for run, trained, document in zip(runs, settings, documents)
        ],
        "readings": list(dict.fromkeys(map(reading_row, results))),  # protocols of single answers
        "classes": _changed_classes(found),
        "charts": charts.comparison_charts(
            {label: one.results for label, one in evaluations.items()},
            {label: read_history(run) for label, run in zip(labels, runs)},
        ),
    }


def comparison_document(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data set, rows and different settings as `svipctl visualize compare --json` shows them."""
    shown = ("protocol", "figure", "values", "differences", "intervals")
    return {
        "dataset": comparison["dataset"],
        "rows": [{name: row[name] for name in shown} for row in comparison["rows"]],
        "configuration": comparison["configuration"],
    }


def _aligned(tables: Sequence[Mapping[str, Any]], missing: Any = None) -> dict[str, list[Any]]:
    """Return the values of each key in each table."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return {key: [table.get(key, missing) for table in tables] for key in keys}


def _rows(
    documents: Sequence[Mapping[str, Any]], results: Sequence[ProtocolResults], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Return each metric of each protocol: of every run, and its difference to the first run's with the interval."""
    protocols = [tables.protocol_rows(document) for document in documents]
    paired = [{}, *(_paired(results[0], other, resamples, seed) for other in results[1:])]
    rows = []
    for protocol, meaning in tables.MEANINGS.items():
        for figure in FIGURES:
            cells = [found[protocol].cells.get(figure) if protocol in found else None for found in protocols]
            differences: list[float | None] = [None] * len(cells)
            intervals: list[list[float] | None] = [None] * len(cells)
            for number, cell in enumerate(cells):
                if number and cell and cells[0]:
                    differences[number] = cell.value - cells[0].value
                    if bounds := paired[number].get(protocol, {}).get(figure):
                        intervals[number] = [100 * bound for bound in bounds]
            if any(cells):
                rows.append(
                    {
                        "protocol": protocol,
                        "figure": "area" if figure == "value" else figure,
                        "meaning": meaning,
                        "cells": cells,
                        "values": [cell and cell.value for cell in cells],
                        "differences": differences,
                        "intervals": intervals,
                    }
                )
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


def _selection(document: Mapping[str, Any]) -> dict[str, float]:
    """Return the quality of the patch selection in one table."""
    return {
        f"{label} against {truth}": figures[figure]
        for truth, figures in tables.selection_rows(document).items()
        for figure, label in (("auc", "AUC"), ("recall", "recall"))
        if figure in figures
    }


def _differences(tables: Sequence[Mapping[str, Any]], ignored: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the settings, or the lines of the environment, that differ between runs, with their values."""
    texts = [
        {key: json.dumps(value, default=str, ensure_ascii=False).strip('"') for key, value in table.items()}
        for table in tables
    ]
    aligned = _aligned(texts, missing="–").items()
    return {key: values for key, values in aligned if len(set(values)) > 1 and key not in ignored}


def _changed_classes(evaluations: Sequence[ModelEvaluation]) -> list[tuple[ClassFigures, list[float]]]:
    """Return the classes whose accuracy differs most between runs, with the accuracies as shares of 1."""
    columns = [per_class(one.results, one.classes) for one in evaluations]
    accuracies = [
        [found.accuracy.get(reading_row(one.results), 0.0) for found in column]
        for one, column in zip(evaluations, columns)
    ]
    rows = [(found, list(values)) for found, values in zip(columns[0], zip(*accuracies)) if len(set(values)) > 1]
    return sorted(rows, key=lambda row: min(row[1]) - max(row[1]))[:MOST_CHANGED]
