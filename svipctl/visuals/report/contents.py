"""Collect the contents of the report of one run from one pass over the images."""

from __future__ import annotations

from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.per_class import per_class, reading_row
from svipctl.evaluation.result import ModelEvaluation
from svipctl.evaluation.tables import leak
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.visuals.confusion import Pair, confusion_of, image_reader
from svipctl.visuals.history import read_history
from svipctl.visuals.report import charts, tables
from svipctl.visuals.report.gallery import galleries
from svipctl.visuals.report.pictures import Picture, picture

EXTREMES = 8
"""Number of hardest classes, and of best classes."""
PAIRS = 8
"""Number of confused pairs."""


def gather(run: Run, benchmark: Benchmark, settings: Settings, evaluation: ModelEvaluation) -> dict[str, Any]:
    """Return the values that the template `run.html` shows.

    Args:
        run: The run.
        benchmark: Its data set.
        settings: Settings of the evaluation: device, precision, and the folders of the command.
        evaluation: Its evaluation.

    """
    trained, document, results = run.settings(), evaluation.document, evaluation.results
    reading, classes = reading_row(results), per_class(results, evaluation.classes)
    ranked = sorted(classes, key=lambda one: (one.accuracy.get(reading, 0.0), one.name))
    shown = min(EXTREMES, len(ranked) // 2)  # no class is in both
    again = trained.model_copy(update={"data_dir": settings.data_dir, "runs_dir": settings.runs_dir})
    return {
        "title": f"{run.name} on {benchmark.name}",
        "run": run.name,
        "document": document,
        "protocols": tables.protocol_rows(document),
        "leak": leak(document),
        "selection": tables.selection_rows(document),
        "network": evaluation.model.network,
        "gamma": str(evaluation.model.gamma),  # of single answers
        "reading": reading,  # the protocol of single answers
        "reading_meaning": tables.MEANINGS.get(reading, ""),
        "classes": classes,
        "class_rows": [name for name in results.rows if any(name in one.accuracy for one in classes)],
        "hardest": ranked[:shown],
        "best": ranked[::-1][:shown],
        "names": evaluation.classes,  # of the classes of `pairs`
        "pairs": _pairs(benchmark, evaluation),
        "training_charts": charts.training_charts(read_history(run)),
        "evaluation_charts": charts.evaluation_charts(evaluation),
        "plane": charts.attribute_chart(benchmark, evaluation),
        "configuration": tables.configuration(run, trained),
        "environment": tables.environment(run),
        "provenance": tables.provenance(run, trained, evaluation, benchmark),
        "commands": tables.commands(run, again, document.get("development"), settings.dataset),
        "galleries": galleries(benchmark, evaluation),
    }


def _pairs(benchmark: Benchmark, evaluation: ModelEvaluation) -> list[tuple[Pair, Picture | None, Picture | None]]:
    """Return confused classes, with an image of the mistake and one of the answered class."""
    read = image_reader(evaluation, benchmark)

    def shown(place: int | None, label: int) -> Picture | None:
        if place is None:
            return None
        return picture(np.asarray(read(place)), f"an image of {evaluation.classes[label]}", largest=112)

    _, _, pairs = confusion_of(evaluation, PAIRS)
    return [(pair, shown(pair.wrong, pair.true), shown(pair.right, pair.answered)) for pair in pairs]
