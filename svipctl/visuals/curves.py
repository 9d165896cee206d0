"""Curves: loss terms and figures over training, seen against unseen accuracy, H over gamma, and reliability.

Each function draws on axes that it is given; `training_figure` and `evaluation_figure` put them on one page.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from svipctl.evaluation.evaluation import ModelEvaluation
from svipctl.evaluation.per_class import reading_row
from svipctl.evaluation.protocols import ProtocolResults
from svipctl.evaluation.reliability import Reliability, reliability
from svipctl.visuals.history import History
from svipctl.visuals.style import GREEN, GREY, PURPLE, SEEN, SMALL, UNSEEN, VERMILION, entitle, new_figure

TERMS = {
    "loss": "loss",
    "cross_entropy": "cross-entropy",
    "patch": "patch classifier",
    "consistency": "consistency",
    "decorrelation": "decorrelation",
}
_LEAST_SHARE = 1e-3
_EPOCH_FIGURES = {
    "accuracy": ("train accuracy", GREY, ":"),
    "T1": ("T1", PURPLE, "-"),
    "U": ("U", UNSEEN, "-"),
    "S": ("S", SEEN, "-"),
    "H": ("H", GREEN, "-"),
    "H_oracle": ("best H over gamma", GREEN, "--"),
}
_MARKS = {
    "gzsl": ("o", "gzsl, gamma 0"),
    "gzsl-calibrated": ("D", "gzsl-calibrated"),
    "gzsl-oracle": ("^", "gzsl-oracle"),
    "reference": ("s", "reference, per image"),
}
_CHOSEN_ON_THE_SCORED = frozenset(["gzsl-oracle", "reference"])
OVERLAID = {
    "loss": "Loss",
    "accuracy": "Training accuracy, percent",
    "T1": "T1 of the monitored split, percent",
    "H_oracle": "Best H over gamma, monitored split, percent",
}
"""Figures of metrics.jsonl in which runs are compared, and what they are called."""
_LABELLED = {row: label for row, (_, label) in _MARKS.items()}


def draw_losses(axes: Axes, history: History) -> None:
    """Loss terms over epochs, logarithmic; a term that is next to nothing is only named, one that is zero left out."""
    columns = {label: history.step_column(name) for name, label in TERMS.items()}
    largest = max((values.max() for _, values in columns.values() if len(values)), default=0.0)
    for label, (places, values) in columns.items():
        shown = values > 0
        if not shown.any():
            continue
        if values.max() < _LEAST_SHARE * largest:  # it would press all the others together
            axes.plot([], [], color="none", label=f"{label}: below {_rounded_up(values.max()):g}")
        else:
            axes.plot(places[shown], values[shown], label=label, linewidth=2 if label == "loss" else 1.2)
    axes.set(title="Loss terms", xlabel="epoch", yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # names are no TeX, nor are numbers
    axes.yaxis.set_minor_formatter(NullFormatter())
    _finish(axes)


def _rounded_up(value: float) -> float:
    """The next power of ten."""
    return float(10.0 ** np.ceil(np.log10(value)))


def draw_accuracies(axes: Axes, history: History) -> None:
    """Accuracy on the training batches and, where a split was monitored, its figures after each epoch, percent."""
    for name, (label, colour, dashes) in _EPOCH_FIGURES.items():
        places, values = history.epoch_column(name)
        if len(places):
            axes.plot(places, values, dashes, color=colour, label=label, marker=".", markersize=4)
    watched = f" and {history.monitored} split" if history.monitored else ""
    axes.set(title=f"Accuracy, training{watched}", xlabel="epoch", ylabel="percent", ylim=(0, 100))
    _finish(axes)


def draw_patch_classifier(axes: Axes, history: History) -> None:
    """AUC and recall of the patch classifier against its own labels while training, percent."""
    for name, label, colour in (("patch_auc", "AUC", "C0"), ("patch_recall", "recall", "C1")):
        places, values = history.step_column(name)
        if len(places):
            axes.plot(places, values, color=colour, label=label)
    axes.axhline(50, color=GREY, linestyle=":", linewidth=1, label="chance AUC")
    axes.set(title="Patch classifier, its own labels", xlabel="epoch", ylabel="percent", ylim=(0, 100))
    _finish(axes)


def draw_learning_rate(axes: Axes, history: History) -> None:
    """Learning rate of each step."""
    places, values = history.step_column("lr")
    axes.plot(places, values, color="C0")
    axes.set(title="Learning rate", xlabel="epoch")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _finish(axes)


def draw_seen_unseen(axes: Axes, evaluations: Mapping[str, ProtocolResults]) -> None:
    """The exact seen-unseen curve of each evaluation, with the points of every protocol.

    The `reference` point stands beside the curve: it is a mean over images, the curve over classes.

    Args:
        axes: Where.
        evaluations: Label -> evaluation; with one, its protocols are named, with several the curves are.

    """
    single = len(evaluations) == 1
    for number, (name, evaluation) in enumerate(evaluations.items()):
        curve = evaluation.curve
        (line,) = axes.plot(
            100 * curve.unseen,
            100 * curve.seen,
            label=f"AUSUC {100 * curve.area:.1f}" if single else f"{name}, AUSUC {100 * curve.area:.1f}",
        )
        for row, (mark, label) in _MARKS.items():
            if row in evaluation.rows:
                figures = evaluation.rows[row]
                axes.plot(
                    100 * figures["U"],
                    100 * figures["S"],
                    mark,
                    color=line.get_color() if not single else (VERMILION if row in _CHOSEN_ON_THE_SCORED else GREEN),
                    markerfacecolor="none" if row in _CHOSEN_ON_THE_SCORED else None,
                    label=_point_label(row, figures) if single else (label if number == 0 else None),
                    markersize=6,
                    clip_on=False,
                )
    axes.set(
        title="Seen against unseen (open marks: chosen on the scored images)",
        xlabel="U, unseen accuracy, percent",
        ylabel="S, seen accuracy, percent",
    )
    axes.set(xlim=(0, 100), ylim=(0, 100))
    _harmonic_lines(axes)
    _finish(axes, integers=False)


def draw_harmonic(axes: Axes, evaluation: ProtocolResults) -> None:
    """U, S and H over gamma, with the gammas of the protocols: how much hangs on the choice."""
    curve = evaluation.curve
    for values, label, colour in ((curve.unseen, "U", UNSEEN), (curve.seen, "S", SEEN), (curve.harmonic, "H", GREEN)):
        axes.plot(curve.gammas, 100 * values, color=colour, label=label, linewidth=2 if label == "H" else 1.2)
    for row, dashes in (("gzsl", ":"), ("gzsl-calibrated", "-"), ("gzsl-oracle", "--")):
        if row in evaluation.rows:
            gamma = evaluation.rows[row].get("gamma", 0.0)
            axes.axvline(gamma, color=GREY, linestyle=dashes, linewidth=1, label=_LABELLED[row])
    axes.set_xlim(*_where_it_changes(evaluation))
    axes.set(title="Calibrated stacking", xlabel="gamma, taken off seen classes", ylabel="percent", ylim=(0, 100))
    _finish(axes, integers=False)


def draw_reliability(axes: Axes, reliabilities: Mapping[str, Reliability]) -> None:
    """Accuracy over confidence; on the diagonal confidence is honest."""
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", linewidth=1, label="honest")
    for number, (name, found) in enumerate(reliabilities.items()):
        axes.plot(
            100 * found.confidence,
            100 * found.accuracy,
            color=f"C{number}",
            marker="o",
            markersize=4,
            clip_on=False,
            label=f"{name}: ECE {100 * found.error:.1f}",
        )
    axes.set(title="Reliability", xlabel="confidence, percent", ylabel="right answers, percent")
    axes.set(xlim=(0, 100), ylim=(0, 100))
    _finish(axes, integers=False)


def reliabilities(measured: ModelEvaluation) -> dict[str, Reliability]:
    """Without gamma, and with the gamma of the protocol that single answers are read under."""
    scale = measured.model.network.recipe.scale
    found = {"gzsl, gamma 0": reliability(measured.scored, scale=scale)}
    row = reading_row(measured.results)
    if "gamma" in measured.results.rows.get(row, {}):
        found[row] = reliability(measured.scored, measured.results.rows[row]["gamma"], scale=scale)
    return found


def training_figure(history: History, title: str = "") -> Figure:
    """Loss terms, accuracies, patch classifier and learning rate."""
    figure = new_figure(8.0, 5.6)
    entitle(figure, title)
    panels = figure.subplots(2, 2).ravel()
    for draw, axes in zip((draw_losses, draw_accuracies, draw_patch_classifier, draw_learning_rate), panels):
        draw(axes, history)
    return figure


def evaluation_figure(evaluation: ProtocolResults, reliabilities: Mapping[str, Reliability]) -> Figure:
    """The seen-unseen curve, H over gamma, and reliability."""
    figure = new_figure(11.0, 3.8)
    panels = figure.subplots(1, 3)
    draw_seen_unseen(panels[0], {"": evaluation})
    draw_harmonic(panels[1], evaluation)
    draw_reliability(panels[2], reliabilities)
    return figure


def everything_figure(
    history: History, evaluation: ProtocolResults, reliabilities: Mapping[str, Reliability], title: str = ""
) -> Figure:
    """What `svipctl visualize curves` draws: training above, evaluation below."""
    figure = new_figure(11.0, 7.4)
    entitle(figure, title)
    panels = figure.subplots(2, 3)
    for draw, axes in zip((draw_losses, draw_accuracies, draw_patch_classifier), panels[0]):
        draw(axes, history)
    draw_seen_unseen(panels[1, 0], {"": evaluation})
    draw_harmonic(panels[1, 1], evaluation)
    draw_reliability(panels[1, 2], reliabilities)
    return figure


def draw_overlaid(axes: Axes, histories: Mapping[str, History], name: str) -> None:
    """A figure of metrics.jsonl over the epochs, one line a run that has it.

    Args:
        axes: Where.
        histories: Label -> history.
        name: A key of `OVERLAID`.

    """
    for label, history in histories.items():
        places, values = history.epoch_column(name)
        if len(places):
            axes.plot(places, values, label=label, marker=".", markersize=4)
    axes.set(title=OVERLAID[name], xlabel="epoch")
    _finish(axes)


def _where_it_changes(evaluation: ProtocolResults) -> tuple[float, float]:
    """Gammas that 98 % of the images change sides between, and those of the protocols; the rest is flat."""
    margins = evaluation.answers.margins
    ends = [*np.quantile(margins, (0.01, 0.99)), *(figures.get("gamma", 0.0) for figures in evaluation.rows.values())]
    low, high = float(min(ends)), float(max(ends))
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _point_label(row: str, figures: Mapping[str, float]) -> str:
    """Short: a wide legend would lie on the curve."""
    return f"{row}{', per image' if row == 'reference' else ''}: H {100 * figures['H']:.1f}"


def _harmonic_lines(axes: Axes) -> None:
    """Faint lines of equal H, so that the eye can compare points; no lines to the legend, which may lie on them."""
    lines = []
    for harmonic in (20, 40, 60, 80):
        unseen = np.linspace(100 * harmonic / (200 - harmonic), 100, 100)  # from where S is 100
        lines.append(np.stack([unseen, harmonic * unseen / (2 * unseen - harmonic)], axis=1))
        axes.annotate(
            f"H {harmonic}", (harmonic, harmonic), color=GREY, fontsize=SMALL - 2, ha="center", va="center",
            bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 0.5}, zorder=0.5,
        )  # fmt: skip
    axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6, alpha=0.5, zorder=0), autolim=False)


def _finish(axes: Axes, *, integers: bool = True) -> None:
    axes.grid(alpha=0.6, linewidth=0.5)
    axes.set_axisbelow(True)
    if integers:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", frameon=True, framealpha=0.85)
