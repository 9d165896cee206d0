"""Collect the contents of the report of one run from one pass over the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import decode
from svipctl.evaluation.per_class import ClassFigures, answers_under, confusion, per_class, reading_row
from svipctl.evaluation.result import ModelEvaluation
from svipctl.evaluation.tables import leak
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.visuals.confusion import Pair, confused_pairs
from svipctl.visuals.history import read_history
from svipctl.visuals.report import charts, tables
from svipctl.visuals.report.gallery import Gallery, galleries
from svipctl.visuals.report.pictures import Chart, Picture, picture

EXTREMES = 8
"""Number of hardest classes, and of best classes."""
PAIRS = 8
"""Number of confused pairs."""


@dataclass(frozen=True)
class Contents:
    """Values that the template of a run's report shows."""

    title: str
    run: str
    document: dict[str, Any]
    """Document of `svipctl eval --json`."""
    protocols: dict[str, tables.ProtocolRow]
    selection: dict[str, dict[str, float]]
    kept: int
    """Number of related windows of an image, of `windows`."""
    windows: int
    gamma: str
    """Gamma of single answers, and its origin."""
    reading: str
    """Protocol for single answers."""
    reading_meaning: str
    names: tuple[str, ...]
    """Names of the classes of `pairs`."""
    classes: list[ClassFigures]
    class_rows: list[str]
    """Protocols that have a column in the table of classes."""
    hardest: list[ClassFigures]
    best: list[ClassFigures]
    pairs: list[tuple[Pair, Picture | None, Picture | None]]
    """Confused classes, with an image of the mistake and one of the answered class."""
    training_charts: list[Chart]
    evaluation_charts: list[Chart]
    plane: Chart | None
    configuration: list[tables.Setting]
    environment: dict[str, str]
    provenance: list[tuple[str, str]]
    commands: list[str]
    selects: bool
    """True if the recipe selects windows."""
    score_source: str
    """`score_source` of the recipe, from which the patch classifier learns."""
    galleries: list[Gallery]

    @property
    def leak(self) -> float | None:
        """`reference` H minus `gzsl-calibrated` H, percent."""
        return leak(self.document)


def gather(run: Run, benchmark: Benchmark, settings: Settings, evaluation: ModelEvaluation) -> Contents:
    """Return the contents of a report.

    Args:
        run: The run.
        benchmark: Its data set.
        settings: Settings of the evaluation: device, precision, and the folders of the command.
        evaluation: Its evaluation.

    """
    trained, document, results = run.settings(), evaluation.document, evaluation.results
    network, row = evaluation.model.network, reading_row(results)
    classes = per_class(results, evaluation.classes)
    ranked = sorted(classes, key=lambda one: (one.accuracy.get(row, 0.0), one.name))
    shown = min(EXTREMES, len(ranked) // 2)  # no class is in both
    again = trained.model_copy(update={"data_dir": settings.data_dir, "runs_dir": settings.runs_dir})
    return Contents(
        title=f"{run.name} on {benchmark.name}",
        run=run.name,
        document=document,
        protocols=tables.protocol_rows(document),
        selection=tables.selection_rows(document),
        kept=network.keep,
        windows=network.grid.windows,
        gamma=str(evaluation.model.gamma),
        reading=row,
        reading_meaning=tables.MEANINGS.get(row, ""),
        names=evaluation.classes,
        classes=classes,
        class_rows=[name for name in results.rows if any(name in one.accuracy for one in classes)],
        hardest=ranked[:shown],
        best=ranked[::-1][:shown],
        pairs=_pairs(benchmark, evaluation, row),
        training_charts=charts.training_charts(read_history(run)),
        evaluation_charts=charts.evaluation_charts(evaluation),
        plane=charts.attribute_chart(benchmark, evaluation),
        configuration=tables.configuration(run, trained),
        environment=tables.environment(run),
        provenance=tables.provenance(run, trained, evaluation, benchmark),
        commands=tables.commands(run, again, document.get("development"), settings.dataset),
        selects=network.recipe.passes == "both",
        score_source=network.recipe.score_source,
        galleries=galleries(benchmark, evaluation),
    )


def _pairs(
    benchmark: Benchmark, evaluation: ModelEvaluation, row: str
) -> list[tuple[Pair, Picture | None, Picture | None]]:
    names, labels = evaluation.classes, evaluation.results.answers.labels
    answers = answers_under(evaluation.results, row)

    def shown(place: int | None) -> Picture | None:
        if place is None:
            return None
        path = benchmark.image_path(int(evaluation.predictions.indices[place]))
        return picture(
            np.asarray(decode(path, upright=benchmark.upright)), f"an image of {names[labels[place]]}", largest=112
        )

    pairs = confused_pairs(confusion(labels, answers, len(names)), labels, answers, PAIRS)
    return [(pair, shown(pair.wrong), shown(pair.right)) for pair in pairs]
