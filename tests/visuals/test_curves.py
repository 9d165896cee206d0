"""Test that curves show the numbers they are drawn from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from svipctl.errors import DataError
from svipctl.evaluation.protocols import ProtocolResults, evaluate_protocols
from svipctl.evaluation.reliability import reliability
from svipctl.runs.run import Run
from svipctl.visuals import curves
from svipctl.visuals.history import History, read_history
from svipctl.visuals.style import new_figure, save, themed
from tests.evaluation.cases import scored

EPOCHS = [
    {"epoch": n, "lr": 0.1 / n, "loss": 3.0 / n, "accuracy": 20.0 * n, "monitor": "fold-1", "T1": 10.0 * n, "U": 5.0 * n,
     "S": 6.0 * n, "H": 7.0 * n, "H_oracle": 9.0 * n}
    for n in (1, 2, 3)
]  # fmt: skip
STEPS = [
    {"epoch": epoch, "step": step, "lr": 0.1, "loss": 3.0, "cross_entropy": 2.0, "patch": 0.5, "consistency": 0.0,
     "decorrelation": 0.0, "patch_auc": 60.0 + step, "patch_recall": 50.0}
    for epoch in (1, 2, 3) for step in range(1, 11)
]  # fmt: skip


@pytest.fixture
def history() -> History:
    return History(EPOCHS, STEPS)


@pytest.fixture
def evaluation() -> ProtocolResults:
    return evaluate_protocols(scored(0, 300), gamma=0.3, resamples=0)


def drawn(draw: Any, *of: Any) -> Axes:
    """Return the axes after drawing."""
    axes = new_figure(4, 3).subplots()
    with themed():
        draw(axes, *of)
    return axes


def labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def points(axes: Axes) -> set[tuple[float, float]]:
    """Return the places of single marks."""
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 1]
    return {(round(float(x), 6), round(float(y), 6)) for ((x, y),) in lines}


def test_a_term_that_is_zero_throughout_is_left_out(history: History) -> None:
    assert labels(drawn(curves.draw_losses, history)) == ["loss", "cross-entropy", "patch classifier"]


def test_a_negligible_term_is_named_and_does_not_compress_the_others(history: History) -> None:
    steps = [{**step, "consistency": 2e-6} for step in history.steps]
    axes = drawn(curves.draw_losses, History(history.epochs, steps))
    assert labels(axes)[-1] == "consistency: below 1e-05"
    assert axes.get_ylim()[0] > 0.1


@pytest.mark.parametrize("share", [0.2, 0.65, 1.0])
def test_the_legend_does_not_cover_the_seen_unseen_curve(share: float) -> None:
    evaluation = evaluate_protocols(scored(0, 300), resamples=0)
    curve = replace(evaluation.curve, seen=share * evaluation.curve.seen, unseen=share * evaluation.curve.unseen)
    with themed():
        figure = new_figure(4.4, 3.3)
        axes = figure.subplots()
        curves.draw_seen_unseen(axes, {"": replace(evaluation, curve=curve)})
        FigureCanvasAgg(figure).draw()
    line = next(line for line in axes.lines if str(line.get_label()).startswith("AUSUC"))
    box = axes.get_legend().get_window_extent()
    assert not box.count_contains(axes.transData.transform(line.get_xydata()))


def test_accuracies_name_the_monitored_split(history: History) -> None:
    axes = drawn(curves.draw_accuracies, history)
    assert axes.get_title() == "Accuracy, training and fold-1 split"
    assert labels(axes) == ["train, source pass", "T1", "U", "S", "H", "best H over gamma"]
    assert axes.lines[1].get_ydata().tolist() == [10.0, 20.0, 30.0]


def test_the_accuracy_of_a_single_pass_is_drawn_once() -> None:
    both = [{"epoch": n, "source_accuracy": 20.0 * n, "contextualized_accuracy": 20.0 * n} for n in (1, 2)]
    assert labels(drawn(curves.draw_accuracies, History(both, []))) == ["train"]


def test_a_recipe_without_selection_has_no_curve_of_the_patch_classifier(history: History) -> None:
    assert drawn(curves.draw_patch_classifier, history).lines
    steps = [{**step, "patch_auc": 50.0, "patch_recall": 100.0} for step in history.steps]
    axes = drawn(curves.draw_patch_classifier, History(history.epochs, steps))
    assert not axes.lines
    assert "no patch selection" in axes.texts[0].get_text()


@pytest.mark.parametrize("size", [(4, 3), (11, 8)])
def test_a_long_legend_is_below_its_axes(size: tuple[float, float]) -> None:
    chart = new_figure(*size)
    with themed():
        curves.draw_seen_unseen(axes := chart.subplots(), {"": evaluate_protocols(scored(0, 300), gamma=0.3)})
    renderer = FigureCanvasAgg(chart).get_renderer()
    chart.draw(renderer)
    assert axes.get_legend().get_window_extent(renderer).y1 <= axes.xaxis.label.get_window_extent(renderer).y0


def test_every_protocol_is_a_point_on_the_seen_unseen_curve(evaluation: ProtocolResults) -> None:
    axes = drawn(curves.draw_seen_unseen, {"": evaluation})
    rows = ("gzsl", "gzsl-calibrated", "gzsl-oracle", "reference")
    expected = {(round(100 * evaluation.rows[row]["U"], 6), round(100 * evaluation.rows[row]["S"], 6)) for row in rows}
    assert points(axes) == expected
    line = next(line for line in axes.lines if str(line.get_label()).startswith("AUSUC"))
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1e4 * evaluation.curve.area)
    assert f"AUSUC {100 * evaluation.curve.area:.1f}" in labels(axes)
    assert axes.get_legend().get_title().get_text() == "open marks: chosen on the scored images"


def test_several_curves_are_named(evaluation: ProtocolResults) -> None:
    other = evaluate_protocols(scored(1, 300), resamples=0)
    shown = labels(drawn(curves.draw_seen_unseen, {"one": evaluation, "two": other}))
    assert [label for label in shown if "AUSUC" in label] == [
        f"one, AUSUC {100 * evaluation.curve.area:.1f}",
        f"two, AUSUC {100 * other.curve.area:.1f}",
    ]


def test_h_over_gamma_peaks_at_the_oracle_and_shows_every_gamma(evaluation: ProtocolResults) -> None:
    axes = drawn(curves.draw_harmonic, evaluation)
    line = next(line for line in axes.lines if line.get_label() == "H")
    best = line.get_xdata()[np.argmax(line.get_ydata())]
    assert best == evaluation.rows["gzsl-oracle"]["gamma"]
    assert {"gzsl, gamma 0", "gzsl-calibrated", "gzsl-oracle"} <= set(labels(axes))
    low, high = axes.get_xlim()
    assert low < 0 < high
    assert low < best < high


def test_reliability_shows_its_error() -> None:
    found = reliability(scored(0, 300), scale=5.0)
    axes = drawn(curves.draw_reliability, {"gamma 0": found})
    assert labels(axes) == ["perfectly calibrated", f"gamma 0: ECE {100 * found.error:.1f}"]


def test_overlaid_runs_omit_those_without_the_figure(history: History) -> None:
    plain = History([{key: one[key] for key in ("epoch", "loss")} for one in EPOCHS], [])
    runs = {"one": history, "two": plain}
    assert labels(drawn(curves.draw_overlaid, runs, "loss")) == ["one", "two"]
    axes = drawn(curves.draw_overlaid, runs, "T1")
    assert labels(axes) == ["one"]
    assert axes.lines[0].get_ydata().tolist() == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_numbers_give_the_same_bytes(
    history: History, evaluation: ProtocolResults, tmp_path: Path, suffix: str
) -> None:
    for name in ("one", "two"):
        with themed("dark"):
            figure = curves.everything_figure(history, evaluation, {"gamma 0": reliability(scored(0, 300), scale=5.0)})
            save(figure, tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_many_steps_are_averaged_and_keep_their_mean() -> None:
    steps = [{"epoch": 1, "step": number, "loss": float(number)} for number in range(1, 10_001)]
    places, values = History([], steps).step_column("loss")
    assert len(places) <= 300
    assert values[0] == np.mean(range(1, 35))
    assert places[-1] <= 1


def test_a_run_without_records_has_an_empty_history_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert read_history(Run(tmp_path)) == History([], [])
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 1}) + "\nnot json\n")
    with pytest.raises(DataError, match="damaged"):
        read_history(Run(tmp_path))
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1}\n')
    with pytest.raises(DataError, match="damaged"):
        read_history(Run(tmp_path))
