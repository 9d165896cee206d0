"""Test confused classes and their examples."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from svipctl.errors import shortened_name
from svipctl.evaluation.per_class import confusion
from svipctl.visuals.confusion import confused_pairs, confusion_figure
from svipctl.visuals.style import themed

LABELS = np.array([0, 0, 0, 1, 1, 2, 2])
ANSWERS = np.array([0, 1, 1, 0, 1, 2, 1])
NAMES = ["wren", "robin", "jay_" * 12]


def test_the_examples_of_a_pair_match_its_classes() -> None:
    counts = confusion(LABELS, ANSWERS, 3)
    pairs = confused_pairs(counts, LABELS, ANSWERS, 5)
    assert [(pair.true, pair.answered, pair.mistakes) for pair in pairs] == [(0, 1, 3), (2, 1, 1)]
    for pair in pairs:
        assert pair.wrong is not None
        assert pair.right is not None
        assert (LABELS[pair.wrong], ANSWERS[pair.wrong]) == (pair.true, pair.answered)
        assert (LABELS[pair.right], ANSWERS[pair.right]) == (pair.answered, pair.answered)


def test_a_pair_has_no_correct_example_if_its_answer_is_never_classified_correctly() -> None:
    labels, answers = np.array([0, 1]), np.array([1, 0])
    (pair,) = confused_pairs(confusion(labels, answers, 2), labels, answers, 3)
    assert (pair.wrong, pair.right) == (0, None)


def test_the_figure_shows_percent_of_each_true_class() -> None:
    counts = confusion(LABELS, ANSWERS, 3)
    asked: list[int] = []

    def read(place: int) -> Image.Image:
        asked.append(place)
        return Image.new("RGB", (8, 8))

    with themed():
        figure = confusion_figure(counts, confused_pairs(counts, LABELS, ANSWERS, 5), NAMES, read, "gzsl-oracle")
    axes = next(axes for axes in figure.axes if axes.get_title().startswith("Most confused"))
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(
        100 * np.array([[1 / 3, 2 / 3, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    )
    assert sorted(asked) == [1, 4, 4, 6]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["wren", "robin", shortened_name(NAMES[2])]


@pytest.mark.parametrize("name", ["", "short", "x" * 26, "first_part_that_differs_and_last_part"])
def test_a_shortened_name_keeps_both_ends(name: str) -> None:
    short = shortened_name(name)
    assert len(short) <= 26
    assert short == name or (name.startswith(short.partition("…")[0]) and name.endswith(short.partition("…")[2]))
