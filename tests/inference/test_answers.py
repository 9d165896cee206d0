"""Test that answers are the classes of the highest scores, and that their reasons add up to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from svipctl.inference.answers import AnswerMaker
from svipctl.inference.class_table import ClassTable
from svipctl.model.class_scorer import ClassScorer
from svipctl.model.recipe import Recipe

NAMES = tuple(f"attribute_{number}" for number in range(5))
PREDICTED = torch.from_numpy(np.random.default_rng(4).normal(0.5, 1, (3, 5)))


def class_table(count: int = 6) -> ClassTable:
    table = np.random.default_rng(2).uniform(0.1, 1, (count, 5))
    return ClassTable(tuple(f"class_{number}" for number in range(count)), table, np.arange(count) < count // 2)


def expected_scores(table: ClassTable, kind: str) -> np.ndarray:
    """Return the scores (3, C) before gamma."""
    rows = table.class_attributes / np.linalg.norm(table.class_attributes, axis=1, keepdims=True)
    predicted = PREDICTED.numpy()
    if kind == "cosine":
        predicted = predicted / np.linalg.norm(predicted, axis=1, keepdims=True)
    return predicted @ rows.T


@pytest.mark.parametrize("kind", ["cosine", "dot"])
@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_answers_are_the_best_classes_after_gamma(kind: str, gamma: float) -> None:
    table = class_table()
    maker = AnswerMaker(NAMES, table, gamma, ClassScorer(len(NAMES), Recipe(class_score=kind)), top=4)  # type: ignore[arg-type]
    for scores, answers in zip(expected_scores(table, kind) - gamma * table.seen, maker.answers(PREDICTED)):
        best = np.argsort(-scores)[:4]
        assert [answer.name for answer in answers] == [f"class_{number}" for number in best]
        assert [answer.score for answer in answers] == pytest.approx(scores[best].tolist(), abs=1e-9)


@pytest.mark.parametrize("kind", ["cosine", "dot"])
def test_the_reasons_of_all_attributes_add_up_to_the_lead_over_the_other_classes(kind: str) -> None:
    table = class_table()
    maker = AnswerMaker(NAMES, table, 0.2, ClassScorer(len(NAMES), Recipe(class_score=kind)), reasons=5)  # type: ignore[arg-type]
    rows = table.class_attributes / np.linalg.norm(table.class_attributes, axis=1)[:, None]
    for raw, answers in zip(expected_scores(table, kind), maker.answers(PREDICTED)):
        for answer in answers:
            mine = int(answer.name.removeprefix("class_"))
            lead = raw[mine] - np.delete(raw, mine).mean()
            weights = [reason.weight for reason in answer.speaks_for + answer.speaks_against]
            assert sum(weights) == pytest.approx(lead, abs=1e-9)
            assert all(reason.weight > 0 for reason in answer.speaks_for)
            assert all(reason.weight < 0 for reason in answer.speaks_against)
            surplus = dict(zip(NAMES, rows[mine] - np.delete(rows, mine, axis=0).mean(axis=0)))
            assert all(
                reason.lacking == (surplus[reason.attribute] < 0)
                for reason in answer.speaks_for + answer.speaks_against
            )


def test_the_strongest_reasons_come_first_up_to_the_requested_number() -> None:
    (all_of_them, *_), (few, *_) = (
        AnswerMaker(NAMES, class_table(), 0.0, ClassScorer(len(NAMES), Recipe()), reasons=reasons).answers(PREDICTED)[0]
        for reasons in (5, 1)
    )
    lifting = [reason.weight for reason in all_of_them.speaks_for]
    lowering = [reason.weight for reason in all_of_them.speaks_against]
    assert lifting == sorted(lifting, reverse=True)
    assert lowering == sorted(lowering)
    assert (few.speaks_for, few.speaks_against) == (all_of_them.speaks_for[:1], all_of_them.speaks_against[:1])


def test_a_single_candidate_is_always_the_answer() -> None:
    for (answer,) in AnswerMaker(NAMES, class_table(1), 0.0, ClassScorer(len(NAMES), Recipe())).answers(PREDICTED):
        assert answer.name == "class_0"
