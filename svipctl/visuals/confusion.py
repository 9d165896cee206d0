"""Draw the confused classes, with an image of each mistake and one of the answered class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import decode
from svipctl.errors import shortened_name
from svipctl.evaluation.calibration import Integers
from svipctl.evaluation.per_class import answers_under, confusion, most_confused, reading_row
from svipctl.evaluation.result import ModelEvaluation
from svipctl.visuals.style import SEQUENTIAL, SMALL, new_figure
from svipctl.visuals.text import entitle

ImageReader = Callable[[int], Image.Image]
"""Function that reads a scored image, by its position among them."""
_MOST_WRITTEN = 24
"""Maximum number of classes whose shares are written into their cells; for more, a colour scale is drawn."""


@dataclass(frozen=True)
class Pair:
    """Two classes with mistakes between them, and example images."""

    true: int
    answered: int
    mistakes: int
    """Number of mistakes in either direction."""
    wrong: int | None
    """An image of `true` that was answered with `answered`."""
    right: int | None
    """An image of `answered`, correctly classified if there is one."""


def confused_pairs(counts: Integers, labels: Integers, answers: Integers, top: int) -> list[Pair]:
    """Return the pairs with most mistakes, each with example images (the first of their kind).

    Args:
        counts: (C, C) images of the row's class answered with the column's.
        labels: (N,) true classes.
        answers: (N,) answered classes.
        top: Number of pairs.

    """
    pairs = []
    for true, answered, mistakes in most_confused(counts, top):
        wrong, right = (np.flatnonzero((labels == label) & (answers == answered)) for label in (true, answered))
        pairs.append(Pair(true, answered, mistakes, *(int(one[0]) if len(one) else None for one in (wrong, right))))
    return pairs


def confusion_of(evaluation: ModelEvaluation, top: int) -> tuple[str, Integers, list[Pair]]:
    """Return the protocol for single answers, its (C, C) counts and its most confused pairs."""
    row = reading_row(evaluation.results)
    labels, answers = evaluation.results.answers.labels, answers_under(evaluation.results, row)
    counts = confusion(labels, answers, len(evaluation.classes))
    return row, counts, confused_pairs(counts, labels, answers, top)


def image_reader(evaluation: ModelEvaluation, benchmark: Benchmark) -> ImageReader:
    """Return the function that reads an evaluated image."""
    indices = evaluation.predictions.indices
    return lambda place: decode(benchmark.image_path(int(indices[place])), upright=benchmark.upright)


def confusion_figure(
    counts: Integers, pairs: Sequence[Pair], names: Sequence[str], read: ImageReader, row: str, title: str = ""
) -> Figure:
    """Draw the shares among the classes of the pairs, next to an example of each pair.

    Args:
        counts: (C, C) as for `confused_pairs`.
        pairs: From `confused_pairs`; at least one.
        names: Names of the C classes.
        read: Function that reads an image.
        row: Protocol of the answers.
        title: Title of the figure.

    """
    classes = sorted({label for pair in pairs for label in (pair.true, pair.answered)})
    figure = new_figure(11.0, max(3.9, min(0.34 * len(classes) + 2.0, 7.2), 1.15 * len(pairs) + 0.6))
    entitle(figure, title)
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1.0), squeeze=False)[0]
    draw_confusion(left.subplots(), counts, classes, names, row)
    panels = right.subplots(len(pairs), 2, squeeze=False)
    for pair, (first, second) in zip(pairs, panels):
        _draw_example(first, pair.wrong, read, names[pair.true], "classified as →")
        _draw_example(
            second,
            pair.right,
            read,
            names[pair.answered],
            f"{pair.mistakes} mistake{'s' * (pair.mistakes > 1)} between them",
        )
    return figure


def draw_confusion(axes: Axes, counts: Integers, classes: Sequence[int], names: Sequence[str], row: str) -> None:
    """Draw the percentage of each class's images that are classified as each of these classes."""
    totals = counts.sum(axis=1, keepdims=True)[classes]
    shares = 100 * counts[np.ix_(classes, classes)] / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=100)
    labels = [shortened_name(names[label]) for label in classes]
    axes.set_xticks(range(len(classes)), labels, rotation=90, fontsize=SMALL - 1)
    axes.set_yticks(range(len(classes)), labels, fontsize=SMALL - 1)
    axes.set(title=f"Most confused classes, percent of the row ({row})", xlabel="answered", ylabel="true")
    if len(classes) > _MOST_WRITTEN:
        axes.figure.colorbar(image, ax=axes, shrink=0.6)
    else:
        for y, x in zip(*np.nonzero(shares)):
            colour = "white" if shares[y, x] < 55 else "black"
            axes.text(x, y, f"{shares[y, x]:.0f}", ha="center", va="center", fontsize=SMALL - 1.5, color=colour)
    axes.spines[:].set_visible(False)


def _draw_example(axes: Axes, image: int | None, read: ImageReader, *lines: str) -> None:
    axes.set_axis_off()
    if image is not None:
        axes.imshow(np.asarray(read(image).resize((160, 160))), aspect="equal")
    axes.set_title("\n".join(shortened_name(line, 40) for line in lines), fontsize=SMALL - 1.5)
