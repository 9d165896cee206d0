"""Plot the predicted attributes of images on a plane: their first two principal components, by numpy's SVD.

PCA rather than t-SNE: it is deterministic, its axes mean the same in every figure, and it preserves distances.
Class attributes are projected onto the same plane, to show if images are close to their class.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import shortened_name
from svipctl.evaluation.calibration import Floats, unit_rows
from svipctl.evaluation.result import ModelEvaluation
from svipctl.visuals.image_choice import number_of
from svipctl.visuals.style import GREY, SMALL, cycle_colour, new_figure
from svipctl.visuals.text import entitle

MOST_NAMED = 24
_COLOURS, _MARKS = (0, 1, 2, 3, 5), "osD^vP*X<"  # 5 and 9: 45 different pairs


class Plane:
    """The plane of largest variance through N vectors with K entries; missing dimensions are zeros.

    Attributes:
        points: (N, 2) the vectors on the plane.
        mean: (K,).
        axes: (2, K), orthonormal rows; the largest entry of each is positive, so that no figure is mirrored.
        explained: Shares of the variance along the axes.

    """

    def __init__(self, vectors: Floats) -> None:
        """Fit the plane to vectors (N, K)."""
        self.mean: Floats = vectors.mean(axis=0)
        centred = vectors - self.mean
        missing = np.maximum(2 - np.array(vectors.shape), 0)
        _, strengths, rows = np.linalg.svd(np.pad(centred, [(0, missing[0]), (0, missing[1])]), full_matrices=False)
        axes = rows[:2, : vectors.shape[1]]
        largest = np.abs(axes).argmax(axis=1)
        self.axes: Floats = axes * np.where(axes[np.arange(2), largest] < 0, -1.0, 1.0)[:, None]
        self.points: Floats = centred @ self.axes.T
        first, second = (strengths[:2] ** 2 / ((strengths**2).sum() or 1.0)).tolist()
        self.explained = first, second

    def project(self, vectors: Floats) -> Floats:
        """Project other vectors (M, K) onto the same plane (M, 2)."""
        return (vectors - self.mean) @ self.axes.T


def attribute_plane(predicted: Floats) -> Plane:
    """Return the principal plane of the directions of predicted attributes (N, K), which decide cosine scores."""
    return Plane(unit_rows(predicted))


def embedding_figure(
    evaluation: ModelEvaluation, benchmark: Benchmark, plane: Plane, classes: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draw images with the colour and mark of their class; the class attributes have the same mark, large and outlined.

    Up to 24 classes are coloured and named; with more classes only unseen ones, and the rest is grey.

    Args:
        evaluation: Evaluation of the images.
        benchmark: Its data set.
        plane: Plane of the images, from `attribute_plane`.
        classes: Names of the classes to colour; by default as many as fit, unseen ones first.
        title: Title of the figure.

    Raises:
        ConfigError: A class does not exist.

    """
    names, labels, split = evaluation.classes, evaluation.results.answers.labels, evaluation.split
    seen = np.isin(split.classes, split.seen_classes)
    of_classes = plane.project(unit_rows(benchmark.class_attributes[split.classes]))
    figure = new_figure(8.6, 5.6)
    entitle(figure, title)
    axes = figure.subplots()
    ink = matplotlib.rcParams["text.color"]
    there = np.unique(labels)
    named = [number_of("the evaluation has no class", name, names) for name in classes] or [
        label for label in there.tolist() if len(there) <= MOST_NAMED or not seen[label]
    ]
    named = named[:MOST_NAMED]
    others = ~np.isin(labels, named)
    axes.scatter(plane.points[others, 0], plane.points[others, 1], s=7, color=GREY, alpha=0.35, linewidths=0)
    rest = np.setdiff1d(there, named)
    axes.scatter(of_classes[rest, 0], of_classes[rest, 1], s=22, color=GREY, edgecolors=ink, linewidths=0.6)
    handles = []
    for number, label in enumerate(named):
        colour, mark = class_style(number)
        points = plane.points[labels == label]
        axes.scatter(points[:, 0], points[:, 1], s=16, color=colour, marker=mark, alpha=0.75, linewidths=0)
        x, y = of_classes[label]
        axes.scatter(x, y, s=90, color=colour, marker=mark, edgecolors=ink, linewidths=1.2, zorder=3)
        text = shortened_name(names[label], 36) + ("" if seen[label] else " (unseen)")
        handles.append(Line2D([], [], color=colour, marker=mark, linestyle="", markersize=5, label=text))
    text = "large, outlined: the class's own attributes"
    handles.append(Line2D([], [], c="none", mec=ink, marker="o", linestyle="", markersize=8, label=text))
    if others.any():
        text = f"{len(rest)} other classes" if named else f"{len(rest)} classes"
        handles.append(Line2D([], [], color=GREY, marker=".", linestyle="", label=text))
    figure.legend(handles=handles, fontsize=SMALL - 1, frameon=False, loc="outside right upper")
    axes.set(
        title=f"Predicted attributes of {len(labels)} images (PCA)",
        xlabel=f"first component, {100 * plane.explained[0]:.0f} % of the variance",
        ylabel=f"second component, {100 * plane.explained[1]:.0f} %",
    )
    axes.grid()
    axes.set_aspect("equal", adjustable="box")
    return figure


def class_style(number: int) -> tuple[str, str]:
    """Return colour and mark of a class; no two of the named classes share both, and neighbours share neither."""
    return cycle_colour(_COLOURS[number % len(_COLOURS)]), _MARKS[number % len(_MARKS)]
