"""Everything the report of one run shows, gathered from one pass over the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import decode
from svipctl.evaluation.calibration import Integers
from svipctl.evaluation.evaluation import ModelEvaluation
from svipctl.evaluation.per_class import ClassFigures, answers_under, confusion, per_class, reading_row
from svipctl.evaluation.protocols import about
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.version import __version__
from svipctl.visuals import curves
from svipctl.visuals.confusion import confused_pairs
from svipctl.visuals.embedding import attribute_plane, embedding_figure
from svipctl.visuals.history import History, read_history
from svipctl.visuals.report import facts
from svipctl.visuals.report.gallery import Gallery, galleries
from svipctl.visuals.report.pictures import Chart, Picture, chart, panel, picture

EXTREMES = 8
"""Hardest and best classes, each."""
PAIRS = 8

SOURCES = {
    "rollout": "attention rollout",
    "paper-rollout": "the paper's attention rollout",
    "attention": "the last block's attention",
    "cosine": "similarity to the mean window",
}


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes with mistakes between them, each with a picture of what was answered."""

    true: str
    answered: str
    mistakes: int
    wrong: Picture | None
    right: Picture | None


@dataclass(frozen=True)
class Headline:
    """A number at the top of the page."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Contents:
    """What the template of a run's report shows; all of it plain values."""

    title: str
    dataset: str
    run: str
    recipe: str
    version: str
    headlines: list[Headline]
    warnings: list[str]
    protocols: list[facts.ProtocolRow]
    leak: float | None
    """`reference` H minus `gzsl-calibrated` H, percent."""
    images: dict[str, int]
    selection: list[tuple[str, dict[str, float]]]
    kept: int
    """Windows of an image that are taken for related, of so many:"""
    windows: int
    localisation: list[facts.LocalisationTable]
    reading: str
    """The protocol under which single answers are read."""
    reading_meaning: str
    classes: list[ClassFigures]
    class_rows: list[str]
    """Protocols that have a column in the table of classes."""
    hardest: list[ClassFigures]
    best: list[ClassFigures]
    pairs: list[ConfusedPair]
    training_charts: list[Chart]
    evaluation_charts: list[Chart]
    plane: Chart | None
    configuration: list[facts.Setting]
    environment: list[tuple[str, str]]
    provenance: list[tuple[str, str]]
    commands: list[str]
    commit: str
    source_words: str
    """What the patch classifier learns from, in words."""
    galleries: list[Gallery]


def gather(run: Run, benchmark: Benchmark, settings: Settings, measured: ModelEvaluation) -> Contents:
    """Put a report together.

    Args:
        run: The run.
        benchmark: Its data set.
        settings: Of the evaluation: device, precision, and folders as the user named them.
        measured: Its evaluation.

    """
    trained, document, evaluation = run.settings(), measured.document, measured.results
    names = measured.classes
    row = reading_row(evaluation)
    classes = per_class(evaluation, names)
    ranked = sorted(classes, key=lambda one: (one.accuracy.get(row, 0.0), one.name))
    about = facts.environment(run)
    return Contents(
        title=f"{run.name} on {benchmark.name}",
        dataset=benchmark.name,
        run=run.name,
        recipe=measured.model.metadata.recipe,
        version=__version__,
        headlines=headlines(document),
        warnings=list(document["warnings"]),
        protocols=facts.protocol_rows(document),
        leak=_leak(document),
        images=document["images"],
        selection=facts.selection_rows(document),
        kept=measured.model.network.keep,
        windows=measured.model.network.grid.windows,
        localisation=facts.localisation_tables(document),
        reading=row,
        reading_meaning=facts.MEANINGS.get(row, ""),
        classes=classes,
        class_rows=[name for name in evaluation.rows if any(name in one.accuracy for one in classes)],
        hardest=ranked[:EXTREMES],
        best=ranked[::-1][:EXTREMES],
        pairs=_pairs(benchmark, measured, answers_under(evaluation, row), names),
        training_charts=training_charts(read_history(run)),
        evaluation_charts=evaluation_charts(measured),
        plane=_plane(benchmark, measured, names),
        configuration=facts.configuration(run, trained),
        environment=facts.environment_rows(about),
        provenance=facts.provenance(run, trained, measured, benchmark),
        commands=facts.commands(
            run,
            trained.model_copy(update={"data_dir": settings.data_dir, "runs_dir": settings.runs_dir}),
            document.get("development"),
            settings.dataset,
        ),
        commit=str(about.get("git_commit") or ""),
        source_words=SOURCES[measured.model.network.recipe.score_source],
        galleries=galleries(benchmark, measured),
    )


def headlines(document: dict[str, Any]) -> list[Headline]:
    """T1, H, the area and the selection's AUC, each with what it is."""
    protocols, intervals = document["protocols"], document["intervals"]
    found = []
    if "zsl" in protocols:
        found.append(
            Headline("T1", f"{protocols['zsl']['T1']:.1f}", f"unseen among unseen{_half(intervals, 'zsl', 'T1')}")
        )
    for row in ("gzsl-calibrated", "gzsl-oracle"):
        if row in protocols:
            note = about(row, document["split"])
            found.append(Headline("H", f"{protocols[row]['H']:.1f}", f"{note}{_half(intervals, row, 'H')}"))
            break
    if "ausuc" in protocols:
        found.append(
            Headline(
                "AUSUC", f"{protocols['ausuc']['value']:.1f}", f"over all gammas{_half(intervals, 'ausuc', 'value')}"
            )
        )
    quality = document.get("selection", {})
    truth = quality.get("mask") or quality.get("box")
    if truth and "auc" in truth:
        found.append(Headline("Selection AUC", f"{truth['auc']:.1f}", "patch classifier against the truth, chance 50"))
    elif "auc" in quality:
        found.append(Headline("Selection AUC", f"{quality['auc']:.1f}", "against its own labels, chance 50"))
    return found


def training_charts(history: History) -> list[Chart]:
    """Loss terms, accuracies and the patch classifier over training; nothing of a run without records."""
    drawn = [
        (
            "Loss terms",
            "The loss and its terms. A term below a thousandth of the largest is only named.",
            curves.draw_losses,
        ),
        (
            "Accuracy during training",
            f"After each epoch, {history.monitored} split." if history.monitored else "Of the training batches.",
            curves.draw_accuracies,
        ),
    ]
    if len(history.step_column("patch_auc")[0]):
        about = "Against the labels it is trained with. Near 50 it has learned nothing."
        drawn.append(("Patch classifier", about, curves.draw_patch_classifier))
    return [panel(title, about, draw, history) for title, about, draw in drawn] if history.epochs else []


def evaluation_charts(measured: ModelEvaluation) -> list[Chart]:
    """The seen-unseen curve, H over gamma and reliability, as far as there are images of both kinds."""
    evaluation = measured.results
    if "ausuc" not in evaluation.rows:
        return []
    return [
        panel(
            "Seen against unseen",
            "Every reachable pair of accuracies; a protocol is a point. Open marks were chosen on the scored images.",
            lambda axes, one: curves.draw_seen_unseen(axes, {"": one}),
            evaluation,
        ),
        panel("Calibrated stacking", "How much hangs on gamma.", curves.draw_harmonic, evaluation),
        panel(
            "Reliability",
            "Confidence of the answer against how often it is right, with the expected calibration error.",
            curves.draw_reliability,
            curves.reliabilities(measured),
        ),
    ]


def _plane(benchmark: Benchmark, measured: ModelEvaluation, names: Sequence[str]) -> Chart | None:
    if len(measured.predictions.indices) < 3:
        return None
    seen = np.isin(measured.split.classes, measured.split.seen_classes)
    plane = attribute_plane(measured.predictions.attributes)
    return chart(
        "Predicted attributes",
        "First two principal components. Large and outlined: where the class's own attributes lie.",
        lambda: embedding_figure(
            plane,
            measured.results.answers.labels,
            seen,
            names,
            benchmark.class_attributes[measured.split.classes],
        ),
    )


def _pairs(
    benchmark: Benchmark, measured: ModelEvaluation, answers: Integers, names: Sequence[str]
) -> list[ConfusedPair]:
    labels = measured.results.answers.labels
    counts = confusion(labels, answers, len(names))

    def shown(place: int | None) -> Picture | None:
        if place is None:
            return None
        path = benchmark.image_path(int(measured.predictions.indices[place]))
        return picture(np.asarray(decode(path)), f"an image of {names[labels[place]]}", largest=112)

    return [
        ConfusedPair(names[pair.true], names[pair.answered], pair.mistakes, shown(pair.wrong), shown(pair.right))
        for pair in confused_pairs(counts, labels, answers, PAIRS)
    ]


def _leak(document: dict[str, Any]) -> float | None:
    protocols = document["protocols"]
    if "reference" not in protocols or "gzsl-calibrated" not in protocols:
        return None
    return float(protocols["reference"]["H"] - protocols["gzsl-calibrated"]["H"])


def _half(intervals: dict[str, Any], row: str, figure: str) -> str:
    bounds = intervals.get(row, {}).get(figure)
    return f", ± {(bounds[1] - bounds[0]) / 2:.1f}" if bounds else ""
