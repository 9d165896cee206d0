"""Compare the results per class with counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from svipctl.evaluation.per_class import (
    answers_under,
    class_document,
    confusion,
    most_confused,
    per_class,
    reading_row,
)
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from tests.evaluation.cases import adversarial, scored

NAMES = [f"class {number}" for number in range(6)]


def test_class_accuracies_average_to_the_rows_of_the_evaluation() -> None:
    evaluation = evaluate_protocols(scored(3, 200), gamma=0.2, resamples=0)
    found = per_class(evaluation, NAMES)
    for row in ("gzsl", "gzsl-calibrated", "gzsl-oracle"):
        for figure, seen in (("S", True), ("U", False)):
            mean = np.mean([one.accuracy[row] for one in found if one.seen == seen])
            assert mean == pytest.approx(evaluation.rows[row][figure])
    unseen = [one for one in found if not one.seen]
    assert np.mean([one.accuracy["zsl"] for one in unseen]) == pytest.approx(evaluation.rows["zsl"]["T1"])
    assert all("zsl" not in one.accuracy for one in found if one.seen)


@given(adversarial())
@settings(max_examples=60)
def test_confusion_counts_every_image_once(case: Scored) -> None:
    answers = case.answers()
    given_answers = answers.predicted(0.3)
    classes = case.scores.shape[1]
    counts = confusion(case.labels, given_answers, classes)
    brute = np.zeros((classes, classes), dtype=int)
    for label, answer in zip(case.labels, given_answers):
        brute[label, answer] += 1
    assert (counts == brute).all()


def test_taken_for_is_the_most_frequent_wrong_answer() -> None:
    evaluation = evaluate_protocols(scored(5, 120), gamma=0.1, resamples=0)
    counts = confusion(evaluation.answers.labels, answers_under(evaluation, "gzsl-calibrated"), 6)
    for one in per_class(evaluation, NAMES):
        wrong = counts[one.label] - np.diag(np.diag(counts))[one.label]
        if wrong.any():
            assert one.taken_for is not None
            assert wrong[NAMES.index(one.taken_for)] == wrong.max()
            assert one.taken_for_share == wrong.max() / one.images
        else:
            assert (one.taken_for, one.taken_for_share) == (None, 0.0)


def test_the_most_confused_pair_comes_first_and_starts_with_the_more_mistaken_class() -> None:
    counts = np.array([[9, 1, 0], [4, 9, 0], [0, 2, 9]])
    assert most_confused(counts, 5) == [(1, 0, 5), (2, 1, 2)]
    assert most_confused(counts, 1) == [(1, 0, 5)]
    assert most_confused(np.diag([3, 3]), 5) == []


@pytest.mark.parametrize(
    ("gamma", "split", "row"),
    [(0.1, "test", "gzsl-calibrated"), (None, "test", "gzsl"), (None, "fold-1", "gzsl-oracle")],
)
def test_single_answers_never_use_a_gamma_from_test_images(gamma: float | None, split: str, row: str) -> None:
    assert reading_row(evaluate_protocols(scored(0), gamma=gamma, resamples=0, split=split)) == row


def test_with_unseen_images_only_answers_are_unseen_classes() -> None:
    case = scored(0)
    kept = case.labels >= 3
    evaluation = evaluate_protocols(
        Scored(case.scores[kept], case.labels[kept], case.seen_classes, case.unseen_classes)
    )
    assert reading_row(evaluation) == "zsl"
    assert (answers_under(evaluation, "zsl") == 3 + case.scores[kept][:, 3:].argmax(axis=1)).all()


def test_the_document_has_every_class_and_every_mistake() -> None:
    case = scored(5, 120)
    evaluation = evaluate_protocols(case, gamma=0.1, resamples=0)
    document = class_document(evaluation, NAMES)
    assert [one["class"] for one in document["classes"]] == NAMES
    assert sum(one["images"] for one in document["classes"]) == 120
    answers = answers_under(evaluation, "gzsl-calibrated")
    assert document["confusion"]["row"] == "gzsl-calibrated"
    pairs = document["confusion"]["pairs"]
    assert sum(pair["images"] for pair in pairs) == (answers != case.labels).sum()
    assert [pair["images"] for pair in pairs] == sorted((pair["images"] for pair in pairs), reverse=True)
    first = pairs[0]
    is_it = (case.labels == NAMES.index(first["class"])) & (answers == NAMES.index(first["answered"]))
    assert is_it.sum() == first["images"]
