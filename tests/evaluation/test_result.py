"""Test the result of an evaluation, as numbers, as a document and as a table."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from svipctl.errors import ConfigError
from svipctl.evaluation.protocols import ROWS, evaluate_protocols
from svipctl.evaluation.result import Evaluation, evaluation_document
from tests.evaluation.cases import scored

NAMES = tuple(f"class {number}" for number in range(6))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    case = scored(0)
    results = evaluate_protocols(case, gamma=0.2, resamples=5)
    document = evaluation_document(
        results, NAMES, {"dataset": "toy", "run": None}, warnings=["first"], development=None
    )
    return Evaluation(document, results, case, NAMES)


def test_rows_are_the_documents_protocols_in_percent(evaluation: Evaluation) -> None:
    assert tuple(evaluation.rows) == ROWS
    assert evaluation.rows["zsl"]["T1"] == 100 * evaluation.results.rows["zsl"]["T1"]
    assert evaluation.rows["gzsl-calibrated"]["gamma"] == 0.2


def test_classes_have_their_accuracy_under_each_row(evaluation: Evaluation) -> None:
    assert [one["class"] for one in evaluation.per_class] == list(NAMES)
    assert [one["seen"] for one in evaluation.per_class] == [True] * 3 + [False] * 3
    for row, seen in (("gzsl", True), ("gzsl-calibrated", False)):
        mean = np.mean([one["accuracy"][row] for one in evaluation.per_class if one["seen"] == seen])
        assert mean == pytest.approx(evaluation.rows[row]["S" if seen else "U"])


def test_the_document_is_json_with_a_header_and_without_empty_entries(evaluation: Evaluation) -> None:
    document = evaluation.to_dict()
    assert json.loads(json.dumps(document)) == document == evaluation.document
    assert document["run"] is None, "the head has every entry"
    assert "development" not in document
    assert (document["warnings"], evaluation.warnings) == (["first"], ("first",))
    document["dataset"] = "other"
    assert evaluation.document["dataset"] == "toy"


def test_warnings_of_the_rows_follow_the_given_ones() -> None:
    document = evaluation_document(evaluate_protocols(scored(0), resamples=0), NAMES, {}, warnings=["first"])
    assert document["warnings"][0] == "first"
    assert "no row gzsl-calibrated" in document["warnings"][1]


def test_the_frame_has_a_row_per_protocol_and_a_column_per_figure(evaluation: Evaluation) -> None:
    pandas = pytest.importorskip("pandas")
    frame = evaluation.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert tuple(frame.index) == ROWS
    assert frame.index.name == "protocol"
    for row, figures in evaluation.rows.items():
        assert frame.loc[row].dropna().to_dict() == figures


def test_the_frame_of_images_has_the_answers_from_which_t1_follows(evaluation: Evaluation) -> None:
    pytest.importorskip("pandas")
    frame = evaluation.to_frame("images")
    assert list(frame.index) == list(range(len(evaluation.scored.labels)))
    unseen = frame[frame.seen == 0]
    right = (unseen.unseen_answer == unseen["class"]).groupby(unseen["class"]).mean()
    assert 100 * right.mean() == pytest.approx(evaluation.rows["zsl"]["T1"])
    named = replace(evaluation, images=tuple(f"{number}.png" for number in frame.index))
    assert list(named.to_frame("images").index) == list(named.images)


def test_the_frame_of_classes_has_the_columns_of_per_class(evaluation: Evaluation) -> None:
    pytest.importorskip("pandas")
    frame = evaluation.to_frame("classes")
    assert list(frame.index) == list(NAMES)
    for one in evaluation.per_class:
        row = frame.loc[one["class"]].dropna().to_dict()
        assert row == {"seen": one["seen"], "images": one["images"], **one["accuracy"]}


def test_the_frame_of_confusions_counts_every_image_and_has_the_mistakes_of_the_document(
    evaluation: Evaluation,
) -> None:
    pytest.importorskip("pandas")
    frame = evaluation.to_frame("confusion")
    assert list(frame.index) == list(frame.columns) == list(NAMES)
    assert frame.sum(axis=1).to_list() == [one["images"] for one in evaluation.per_class]
    mistakes = {(one["class"], one["answered"]): one["images"] for one in evaluation.document["confusion"]["pairs"]}
    assert {pair: frame.loc[pair] for pair in mistakes} == mistakes
    assert frame.to_numpy().sum() - frame.to_numpy().trace() == sum(mistakes.values())


def test_an_unknown_table_is_refused(evaluation: Evaluation) -> None:
    pytest.importorskip("pandas")
    with pytest.raises(ConfigError, match="no table 'rows'"):
        evaluation.to_frame("rows")  # type: ignore[arg-type]


def test_without_pandas_the_error_says_what_to_install(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="needs pandas") as caught:
        evaluation.to_frame()
    assert caught.value.todo == "pip install pandas"
