"""Which classes are taken for which, with an image of each mistake beside the classes it lies between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from svipctl.evaluation.calibration import Integers
from svipctl.evaluation.per_class import most_confused
from svipctl.visuals.names import shortened
from svipctl.visuals.style import SEQUENTIAL, SMALL, entitle, new_figure

Picture = NDArray[np.uint8]
"""(H, W, 3)."""
Thumbnail = Callable[[int], Picture]
"""The picture of a scored image, by its place among them."""


_MOST_WRITTEN = 24
"""Classes whose shares are written into their cells; of more, a scale says what the colours mean."""


@dataclass(frozen=True)
class Pair:
    """Two classes with mistakes between them, and where to see one."""

    true: int
    answered: int
    mistakes: int
    """In either direction."""
    wrong: int | None
    """An image of `true` that was answered with `answered`."""
    right: int | None
    """An image of `answered`, answered rightly if there is one."""


def confused_pairs(counts: Integers, labels: Integers, answers: Integers, top: int) -> list[Pair]:
    """The pairs with most mistakes, each with example images (the first of their kind).

    Args:
        counts: (C, C) images of the row's class answered with the column's.
        labels: (N,) true classes.
        answers: (N,).
        top: Pairs.

    """
    return [
        Pair(
            true,
            answered,
            mistakes,
            wrong=_first((labels == true) & (answers == answered)),
            right=_first((labels == answered) & (answers == answered)),
        )
        for true, answered, mistakes in most_confused(counts, top)
    ]


def confusion_figure(
    counts: Integers, pairs: Sequence[Pair], names: Sequence[str], thumbnail: Thumbnail, row: str, title: str = ""
) -> Figure:
    """Shares among the classes of the pairs, and beside it an example of each of the first pairs.

    Args:
        counts: (C, C).
        pairs: From `confused_pairs`; at least one.
        names: Of the C classes.
        thumbnail: Gives an image's picture.
        row: The protocol of the answers.
        title: Of whom it is.

    """
    classes = sorted({label for pair in pairs for label in (pair.true, pair.answered)})
    shown = pairs[:6]
    figure = new_figure(11.0, max(3.9, min(0.34 * len(classes) + 2.0, 7.2), 1.15 * len(shown) + 0.4))
    entitle(figure, title)
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1.0), squeeze=False)[0]
    draw_confusion(left.subplots(), counts, classes, names, row)
    panels = right.subplots(len(shown), 2, squeeze=False)
    for pair, (first, second) in zip(shown, panels):
        _draw_example(first, pair.wrong, thumbnail, f"{names[pair.true]}\nanswered as →")
        _draw_example(second, pair.right, thumbnail, f"{names[pair.answered]}\n{pair.mistakes} mistakes between them")
    return figure


def draw_confusion(axes: Axes, counts: Integers, classes: Sequence[int], names: Sequence[str], row: str) -> None:
    """Percent of each of these classes' images that are answered with each of them."""
    totals = counts.sum(axis=1)[list(classes)]
    some = counts[np.ix_(list(classes), list(classes))]
    shares = 100 * some / np.maximum(totals, 1)[:, None]
    image = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=100)
    labels = [shortened(names[label]) for label in classes]
    axes.set_xticks(range(len(classes)), labels, rotation=90, fontsize=SMALL - 1)
    axes.set_yticks(range(len(classes)), labels, fontsize=SMALL - 1)
    axes.set(title=f"Most confused classes, percent of the row ({row})", xlabel="answered", ylabel="true")
    if len(classes) > _MOST_WRITTEN:
        axes.figure.colorbar(image, ax=axes, shrink=0.6)
    else:
        for y, x in zip(*np.nonzero(shares)):
            dark = shares[y, x] < 55
            axes.text(x, y, f"{shares[y, x]:.0f}", ha="center", va="center", fontsize=SMALL - 1.5,
                      color="white" if dark else "black")  # fmt: skip
    axes.spines[:].set_visible(False)


def _draw_example(axes: Axes, image: int | None, thumbnail: Thumbnail, title: str) -> None:
    axes.set_axis_off()
    if image is not None:
        axes.imshow(thumbnail(image), aspect="equal")
    lines = [shortened(line, 40) for line in title.splitlines()]
    axes.set_title("\n".join(lines), fontsize=SMALL - 1.5)


def _first(kept: NDArray[np.bool_]) -> int | None:
    found = np.flatnonzero(kept)
    return int(found[0]) if len(found) else None
