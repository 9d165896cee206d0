"""Test figures of the Python API: each from the objects of a user, in the given theme, without pyplot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from svipctl.errors import ConfigError
from svipctl.visuals import figures
from svipctl.visuals.style import themed
from tests.marks import first_fast
from tests.visuals.evaluated import Evaluated, evaluated


@pytest.fixture(scope="module")
def subject(trained: Path, masked_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    return evaluated(trained, masked_folder, tmp_path_factory.mktemp("figures"))


def words(figure: Figure) -> str:
    """Return all texts of a figure."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


FIGURES: dict[str, tuple[Callable[[Evaluated], Figure], str]] = {
    "training": (lambda one: figures.training(one.run), "Loss terms"),
    "curves": (lambda one: figures.curves(one.evaluation), "AUSUC"),
    "confusion": (lambda one: figures.confusion(one.evaluation, dataset=one.benchmark), "Most confused classes"),
    "embedding": (lambda one: figures.embedding(one.evaluation, dataset=one.benchmark), "Predicted attributes"),
    "patches": (lambda one: figures.patches(one.evaluation.model, [0, 1], dataset=one.benchmark), "selected"),
    "attributes": (
        lambda one: figures.attributes(
            one.evaluation.model, [0], names=[one.benchmark.attributes[0]], top=1, dataset=one.benchmark
        ),
        "bill color",
    ),
    "attention": (
        lambda one: figures.attention(one.evaluation.model, [str(one.benchmark.image_path(0))], dataset=one.benchmark),
        "block 1",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_drawn_and_names_its_content(subject: Evaluated, name: str) -> None:
    draw, said = FIGURES[name]
    figure = draw(subject)
    assert isinstance(figure, Figure)
    assert said in words(figure)


def rendered(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


@pytest.mark.parametrize("name", first_fast(FIGURES, 2))
def test_a_figure_has_the_colours_of_its_theme_wherever_it_is_saved(subject: Evaluated, name: str) -> None:
    outside = rendered(FIGURES[name][0](subject))
    with themed("light"):
        inside = rendered(FIGURES[name][0](subject))
    np.testing.assert_array_equal(outside, inside)


def test_a_model_without_its_run_has_no_figures_of_training(subject: Evaluated) -> None:
    model = replace(subject.evaluation.model, run=None)
    with pytest.raises(ConfigError, match="no records of its training"):
        figures.training(model)
    curves = figures.curves(replace(subject.evaluation, model=model))
    assert [axes.get_title() for axes in curves.axes] == ["Seen against unseen", "Calibrated stacking", "Reliability"]
    assert words(figures.training(subject.evaluation.model)) == words(figures.training(subject.run.folder))


def test_the_figure_has_the_requested_theme(subject: Evaluated) -> None:
    light, dark = (figures.training(subject.run, theme=theme) for theme in ("light", "dark"))
    assert (to_hex(light.get_facecolor()), to_hex(dark.get_facecolor())) == ("#ffffff", "#16181d")


IMPOSSIBLE: dict[str, Callable[[Evaluated], Figure]] = {
    "top is 0": lambda one: figures.confusion(one.evaluation, top=0, dataset=one.benchmark),
    "top is -1": lambda one: figures.confusion(one.evaluation, top=-1, dataset=one.benchmark),
    "top is 2.5": lambda one: figures.attributes(one.evaluation.model, [0], top=2.5, dataset=one.benchmark),  # type: ignore[arg-type]
    "the evaluation has no class 'nope'": lambda one: figures.embedding(
        one.evaluation, classes=["nope"], dataset=one.benchmark
    ),
    "an image is 56": lambda one: figures.patches(one.evaluation.model, [0, 56], dataset=one.benchmark),
    "an image is -1": lambda one: figures.attention(one.evaluation.model, [-1], dataset=one.benchmark),
    "there is no image": lambda one: figures.patches(one.evaluation.model, [], dataset=one.benchmark),
}


@pytest.mark.parametrize("said", IMPOSSIBLE)
def test_values_that_do_not_exist_are_refused(subject: Evaluated, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        IMPOSSIBLE[said](subject)


def test_one_file_needs_no_list(subject: Evaluated) -> None:
    file = str(subject.benchmark.image_path(0))
    assert "selected" in words(figures.patches(subject.evaluation.model, file, dataset=subject.benchmark))


def test_an_unknown_attribute_is_named(subject: Evaluated) -> None:
    with pytest.raises(ConfigError, match="no attribute 'beak'"):
        figures.attributes(subject.evaluation.model, [0], names=["beak"], dataset=subject.benchmark)
