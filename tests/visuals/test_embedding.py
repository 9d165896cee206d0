"""Test the plane of predicted attributes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from svipctl.visuals.embedding import MOST_NAMED, Plane, attribute_plane, class_style, embedding_figure
from svipctl.visuals.style import save, themed


def cloud(seed: int = 0, rows: int = 50, columns: int = 6) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, columns)) * np.linspace(3, 0.5, columns) + 2


def test_the_plane_is_that_of_the_largest_eigenvectors_of_the_covariance() -> None:
    vectors = cloud()
    values, axes = np.linalg.eigh(np.cov(vectors.T))
    plane = Plane(vectors)
    assert np.abs(np.sum(plane.axes * axes[:, ::-1][:, :2].T, axis=1)) == pytest.approx([1, 1])
    assert plane.explained == pytest.approx(tuple(values[::-1][:2] / values.sum()))
    assert plane.points.var(axis=0, ddof=1) == pytest.approx(values[::-1][:2])


def test_projected_vectors_have_the_same_place_as_the_fitted_ones() -> None:
    vectors = cloud()
    plane = Plane(vectors)
    assert plane.project(vectors) == pytest.approx(plane.points)


def test_the_signs_of_the_axes_are_fixed() -> None:
    plane = Plane(cloud())
    assert (plane.axes[np.arange(2), np.abs(plane.axes).argmax(axis=1)] > 0).all()
    again = Plane(cloud() @ np.eye(6))
    assert again.points == pytest.approx(plane.points)


@pytest.mark.parametrize("vectors", [np.ones((4, 3)), np.ones((1, 3)), np.arange(4.0)[:, None]])
def test_fewer_than_two_dimensions_are_drawn(vectors: NDArray[np.float64]) -> None:
    plane = Plane(vectors)
    assert np.isfinite(plane.points).all()
    assert plane.points[:, 1] == pytest.approx(0)


def test_only_the_direction_of_an_attribute_vector_matters() -> None:
    vectors = cloud()
    lengths = np.arange(1, 51)[:, None]
    assert attribute_plane(vectors * lengths).points == pytest.approx(attribute_plane(vectors).points)


def test_named_classes_differ_in_colour_or_mark_and_neighbours_in_both() -> None:
    looks = [class_style(number) for number in range(MOST_NAMED)]
    assert len(set(looks)) == MOST_NAMED
    assert all(one[0] != other[0] and one[1] != other[1] for one, other in pairwise(looks))


@pytest.mark.parametrize(("classes", "coloured", "named"), [(10, (), 10), (100, (), 20), (100, (3, 4), 2)])
def test_the_unseen_ones_of_many_classes_are_named(
    tmp_path: Path, classes: int, coloured: tuple[int, ...], named: int
) -> None:
    labels = np.repeat(np.arange(classes), 2)
    seen = np.arange(classes) < 0.8 * classes
    names = [f"<b>$class_{number}$</b> of a long name that is shortened" for number in range(classes)]
    split = SimpleNamespace(classes=np.arange(classes), seen_classes=np.flatnonzero(seen))
    results = SimpleNamespace(answers=SimpleNamespace(labels=labels))
    evaluation: Any = SimpleNamespace(classes=names, results=results, split=split)
    benchmark: Any = SimpleNamespace(class_attributes=cloud(1, classes))
    plane = attribute_plane(cloud(rows=2 * classes))
    with themed():
        figure = embedding_figure(evaluation, benchmark, plane, [names[label] for label in coloured])
        (legend,) = figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        save(figure, tmp_path / "plane.svg")
        FigureCanvasAgg(figure).draw()
    assert legend.get_window_extent().x1 <= figure.bbox.x1, "the legend is inside the figure"
    assert sum("class_" in text for text in texts) == named
    if classes == 100 and not coloured:
        assert all("unseen" in text for text in texts if "class_" in text)
    assert "&lt;b&gt;$class_" in (tmp_path / "plane.svg").read_text()
