"""Draw the charts of reports and comparisons: training, evaluation, predicted attributes, and runs overlaid."""

from __future__ import annotations

from collections.abc import Mapping

from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.protocols import ProtocolResults
from svipctl.evaluation.result import ModelEvaluation
from svipctl.visuals import curves
from svipctl.visuals.embedding import attribute_plane, embedding_figure
from svipctl.visuals.history import History
from svipctl.visuals.report.pictures import Chart, chart, panel

_OPEN_MARKS = "Open marks were chosen on the scored images."


def training_charts(history: History) -> list[Chart]:
    """Return charts of loss terms, accuracies and the patch classifier; none for a run without records."""
    if not history.epochs:
        return []
    about = "The loss and its terms. A term below a thousandth of the largest is listed in the legend but not drawn."
    charts = [panel("Loss terms", about, curves.draw_losses, history)]
    about = f"After each epoch, {history.monitored} split." if history.monitored else "On the training batches."
    charts.append(panel("Accuracy during training", about, curves.draw_accuracies, history))
    if history.selects_patches:
        about = "Against its pseudo-labels. Near 50 it has learned nothing."
        charts.append(panel("Patch classifier", about, curves.draw_patch_classifier, history))
    return charts


def evaluation_charts(evaluation: ModelEvaluation) -> list[Chart]:
    """Return the seen-unseen curve, H over gamma and reliability; none without images of both seen and unseen
    classes.
    """
    results = evaluation.results
    if "ausuc" not in results.rows:
        return []
    reachable = "Every reachable pair of accuracies; a protocol is a point."
    reliable = "Confidence of the answer against the share of correct answers, with the expected calibration error."
    return [
        panel("Seen against unseen", f"{reachable} {_OPEN_MARKS}", curves.draw_seen_unseen, {"": results}),
        panel("Calibrated stacking", "Dependence on gamma.", curves.draw_harmonic, results),
        panel("Reliability", reliable, curves.draw_reliability, curves.reliabilities(evaluation)),
    ]


def attribute_chart(benchmark: Benchmark, evaluation: ModelEvaluation) -> Chart | None:
    """Return the plane of the predicted attributes, which needs at least three images."""
    if len(evaluation.predictions.indices) < 3:
        return None
    plane = attribute_plane(evaluation.predictions.attributes)
    return chart(
        "Predicted attributes",
        "First two principal components. Large and outlined: the attributes of the class.",
        lambda: embedding_figure(evaluation, benchmark, plane),
    )


def comparison_charts(evaluations: Mapping[str, ProtocolResults], histories: Mapping[str, History]) -> list[Chart]:
    """Return charts of several runs by label: their seen-unseen curves, and metrics of their training."""
    charts = []
    if any("ausuc" in results.rows for results in evaluations.values()):
        charts.append(panel("Seen against unseen", _OPEN_MARKS, curves.draw_seen_unseen, evaluations))
    for name, title in curves.OVERLAID.items():
        if any(len(history.epoch_column(name)[0]) for history in histories.values()):
            charts.append(panel(title, "After each epoch.", curves.draw_overlaid, histories, name))
    return charts
