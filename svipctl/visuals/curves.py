"""Plot curves: loss terms and metrics over training, seen against unseen accuracy, H over gamma, and reliability.

Each function draws on the given axes; `training_figure` and `everything_figure` combine them on one page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from svipctl.evaluation.calibration import Floats
from svipctl.evaluation.per_class import reading_row
from svipctl.evaluation.protocols import CHOSEN_ON_SCORED, ProtocolResults
from svipctl.evaluation.reliability import Reliability, reliability
from svipctl.evaluation.result import ModelEvaluation
from svipctl.visuals.history import History
from svipctl.visuals.style import GREEN, GREY, PURPLE, SEEN, SMALL, UNSEEN, VERMILION, cycle_colour, new_figure
from svipctl.visuals.text import entitle

TERMS = {
    "loss": "loss",
    "cross_entropy": "cross-entropy",
    "patch": "patch classifier",
    "consistency": "consistency",
    "decorrelation": "decorrelation",
}
_LEAST_SHARE = 1e-3
_EPOCH_FIGURES = {
    "source_accuracy": ("train, source pass", GREY, ":"),
    "contextualized_accuracy": ("train, contextualized pass", GREY, "-."),
    "T1": ("T1", PURPLE, "-"),
    "U": ("U", UNSEEN, "-"),
    "S": ("S", SEEN, "-"),
    "H": ("H", GREEN, "-"),
    "H_oracle": ("best H over gamma", GREEN, "--"),
}
_MARKS = {
    "gzsl": ("o", ":", "gzsl, gamma 0"),
    "gzsl-calibrated": ("D", "-", "gzsl-calibrated"),
    "gzsl-oracle": ("^", "--", "gzsl-oracle"),
    "reference": ("s", "", "reference, per image"),
}
"""Mark on the seen-unseen curve, dashes of the line at its gamma, and label of each protocol."""
OVERLAID = {
    "loss": "Loss",
    "source_accuracy": "Training accuracy of the source pass, percent",
    "T1": "T1 of the monitored split, percent",
    "H_oracle": "Best H over gamma, monitored split, percent",
}
"""Metrics of metrics.jsonl in which runs are compared, with their titles."""
_PERCENT = (0, 100)
_MOST_INSIDE = 3
"""Entries of a legend inside the axes; a longer one is below them."""
_BELOW = 34
"""Height of the labels below the axes, points."""


def draw_losses(axes: Axes, history: History) -> None:
    """Draw loss terms over epochs, logarithmic; a tiny term is only named, a zero term omitted."""
    columns = {label: history.step_column(name) for name, label in TERMS.items()}
    largest = max((values.max() for _, values in columns.values() if len(values)), default=0.0)
    for label, (epochs, values) in columns.items():
        shown = values > 0
        if not shown.any():
            continue
        if values.max() < _LEAST_SHARE * largest:  # it would compress all others
            power = 10.0 ** np.ceil(np.log10(values.max()))
            axes.plot([], [], color="none", label=f"{label}: below {power:g}")
        else:
            axes.plot(epochs[shown], values[shown], label=label, linewidth=2 if label == "loss" else 1.2)
    axes.set(yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # names are not TeX, nor are numbers
    axes.yaxis.set_minor_formatter(NullFormatter())
    _finish(axes, "Loss terms")


def draw_accuracies(axes: Axes, history: History) -> None:
    """Draw accuracy on the training batches and, if a split was monitored, its metrics after each epoch, percent."""
    drawn = dict(_EPOCH_FIGURES)
    source, contextualized = (history.epoch_column(name)[1] for name in ("source_accuracy", "contextualized_accuracy"))
    if np.array_equal(source, contextualized):  # a recipe with one pass
        del drawn["contextualized_accuracy"]
        drawn["source_accuracy"] = ("train", GREY, ":")
    for name, (label, colour, dashes) in drawn.items():
        _draw_column(axes, history.epoch_column(name), label, color=colour, linestyle=dashes, marker=".", markersize=4)
    monitored = f" and {history.monitored} split" if history.monitored else ""
    axes.set(ylabel="percent", ylim=_PERCENT)
    _finish(axes, f"Accuracy, training{monitored}")


def draw_patch_classifier(axes: Axes, history: History) -> None:
    """Draw AUC and recall of the patch classifier against its own labels during training, percent."""
    if not history.selects_patches:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no patch selection:\nevery window is related", ha="center", va="center", color=GREY)
        return
    _draw_column(axes, history.step_column("patch_auc"), "AUC", color=cycle_colour(0))
    _draw_column(axes, history.step_column("patch_recall"), "recall", color=cycle_colour(1))
    axes.axhline(50, color=GREY, linestyle=":", linewidth=1, label="chance AUC")
    axes.set(ylabel="percent", ylim=_PERCENT)
    _finish(axes, "Patch classifier, its own labels")


def draw_learning_rate(axes: Axes, history: History) -> None:
    """Draw the learning rate of each step."""
    axes.plot(*history.step_column("lr"), color=cycle_colour(0))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _finish(axes, "Learning rate")


def draw_overlaid(axes: Axes, histories: Mapping[str, History], name: str) -> None:
    """Draw a metric of metrics.jsonl over the epochs, one line for each run that has it.

    Args:
        axes: Axes to draw on.
        histories: Label -> history.
        name: A key of `OVERLAID`.

    """
    for label, history in histories.items():
        _draw_column(axes, history.epoch_column(name), label, marker=".", markersize=4)
    _finish(axes, OVERLAID[name])


def draw_seen_unseen(axes: Axes, evaluations: Mapping[str, ProtocolResults]) -> None:
    """Draw the exact seen-unseen curve of each evaluation, with the points of every protocol.

    The `reference` point is not on the curve: it is a mean over images, the curve a mean over classes.

    Args:
        axes: Axes to draw on.
        evaluations: Label -> evaluation; with one, its protocols are named, with several the curves are.

    """
    single = len(evaluations) == 1
    for number, (name, evaluation) in enumerate(evaluations.items()):
        curve = evaluation.curve
        label = f"AUSUC {100 * curve.area:.1f}" if single else f"{name}, AUSUC {100 * curve.area:.1f}"
        (line,) = axes.plot(100 * curve.unseen, 100 * curve.seen, label=label)
        for row, (mark, _, protocol) in _MARKS.items():
            if row not in evaluation.rows:
                continue
            figures, is_open, colour = evaluation.rows[row], row in CHOSEN_ON_SCORED, line.get_color()
            point = protocol if number == 0 else None
            if single:  # a short label: a wide legend would cover the curve
                colour = VERMILION if is_open else GREEN
                point = f"{row}{', per image' if row == 'reference' else ''}: H {100 * figures['H']:.1f}"
            x, y, face = 100 * figures["U"], 100 * figures["S"], "none" if is_open else None
            axes.plot(x, y, mark, label=point, color=colour, markerfacecolor=face, markersize=6, clip_on=False)
    _draw_harmonic_lines(axes)
    axes.set(xlabel="U, unseen accuracy, percent", ylabel="S, seen accuracy, percent", xlim=_PERCENT, ylim=_PERCENT)
    _finish(axes, "Seen against unseen", over_epochs=False, legend="open marks: chosen on the scored images")


def draw_harmonic(axes: Axes, evaluation: ProtocolResults) -> None:
    """Draw U, S and H over gamma, with the gammas of the protocols."""
    curve = evaluation.curve
    for values, label, colour in ((curve.unseen, "U", UNSEEN), (curve.seen, "S", SEEN), (curve.harmonic, "H", GREEN)):
        axes.plot(curve.gammas, 100 * values, color=colour, label=label, linewidth=2 if label == "H" else 1.2)
    gammas = [figures.get("gamma", 0.0) for figures in evaluation.rows.values()]
    for row, (_, dashes, label) in _MARKS.items():
        if dashes and row in evaluation.rows:
            gamma = evaluation.rows[row].get("gamma", 0.0)
            axes.axvline(gamma, color=GREY, linestyle=dashes, linewidth=1, label=label)
    # 98 % of the images change their answer between these gammas; the rest is flat.
    ends = [*np.quantile(evaluation.answers.margins, (0.01, 0.99)), *gammas]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    axes.set_xlim(min(ends) - room, max(ends) + room)
    axes.set(xlabel="gamma, subtracted from seen classes", ylabel="percent", ylim=_PERCENT)
    _finish(axes, "Calibrated stacking", over_epochs=False)


def draw_reliability(axes: Axes, reliabilities: Mapping[str, Reliability]) -> None:
    """Draw accuracy over confidence; a calibrated model is on the diagonal."""
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", linewidth=1, label="perfectly calibrated")
    for number, (name, one) in enumerate(reliabilities.items()):
        label, colour = f"{name}: ECE {100 * one.error:.1f}", cycle_colour(number)
        x, y = 100 * one.confidence, 100 * one.accuracy
        axes.plot(x, y, label=label, color=colour, marker="o", markersize=4, clip_on=False)
    axes.set(xlabel="confidence, percent", ylabel="correct answers, percent", xlim=_PERCENT, ylim=_PERCENT)
    _finish(axes, "Reliability", over_epochs=False)


def reliabilities(evaluation: ModelEvaluation) -> dict[str, Reliability]:
    """Return the reliability without gamma, and with the gamma of the protocol for single answers."""
    scale = evaluation.model.network.recipe.scale
    found = {"gzsl, gamma 0": reliability(evaluation.scored, scale=scale)}
    row = reading_row(evaluation.results)
    gamma = evaluation.results.rows.get(row, {}).get("gamma")
    if gamma is not None:
        found[row] = reliability(evaluation.scored, gamma, scale=scale)
    return found


def training_figure(history: History, title: str = "") -> Figure:
    """Return a figure of loss terms, accuracies, patch classifier and learning rate."""
    figure = new_figure(8.0, 5.6)
    entitle(figure, title)
    _draw_training(history, figure.subplots(2, 2).ravel())
    return figure


def everything_figure(
    history: History, evaluation: ProtocolResults, reliabilities: Mapping[str, Reliability], title: str = ""
) -> Figure:
    """Return the figure of `svipctl visualize curves`: training, if it was recorded, above the evaluation."""
    rows = 2 if history.epochs else 1  # a model without its run has no records of its training
    figure = new_figure(11.0, 3.7 * rows)
    entitle(figure, title)
    *above, below = figure.subplots(rows, 3, squeeze=False)
    for panels in above:
        _draw_training(history, panels)
    draw_seen_unseen(below[0], {"": evaluation})
    draw_harmonic(below[1], evaluation)
    draw_reliability(below[2], reliabilities)
    return figure


def _draw_training(history: History, panels: Iterable[Axes]) -> None:
    for draw, axes in zip((draw_losses, draw_accuracies, draw_patch_classifier, draw_learning_rate), panels):
        draw(axes, history)


def _draw_column(axes: Axes, column: tuple[Floats, Floats], label: str, **look: Any) -> None:
    """Draw a line of values over epochs, if there are any."""
    if len(column[0]):
        axes.plot(*column, label=label, **look)


def _draw_harmonic_lines(axes: Axes) -> None:
    """Draw faint lines of equal H, to compare points; the legend may cover them."""
    lines = []
    for harmonic in (20, 40, 60, 80):
        unseen = np.linspace(100 * harmonic / (200 - harmonic), 100, 100)  # from where S is 100
        lines.append(np.stack([unseen, harmonic * unseen / (2 * unseen - harmonic)], axis=1))
        axes.annotate(
            f"H {harmonic}", (harmonic, harmonic), color=GREY, fontsize=SMALL - 2, ha="center", va="center",
            bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 0.5}, zorder=0.5,
        )  # fmt: skip
    axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6, alpha=0.5, zorder=0), autolim=False)


def _finish(axes: Axes, title: str, *, over_epochs: bool = True, legend: str | None = None) -> None:
    """Draw title, grid and legend, and whole numbers below curves over epochs."""
    axes.set_title(title)
    axes.tick_params(labelsize=SMALL)  # otherwise the number of ticks depends on the theme while the figure is saved
    axes.grid()
    if over_epochs:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    entries = len(axes.get_legend_handles_labels()[0])
    if entries > _MOST_INSIDE:  # it would cover curves
        below = axes.transAxes + ScaledTranslation(0, -_BELOW / 72, axes.figure.dpi_scale_trans)
        place: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below}
        place |= {"ncols": 2, "frameon": False, "columnspacing": 1.0}
    else:
        place = {"loc": "best", "frameon": True, "framealpha": 0.85}
    if entries:
        axes.legend(**place, title=legend, title_fontsize=SMALL - 1)
