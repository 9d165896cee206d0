"""Test the rows of an evaluation and their values."""

from __future__ import annotations

import numpy as np
import pytest

from svipctl.evaluation.protocols import ROWS, Scored, about, evaluate_protocols
from tests.evaluation.cases import scored


def side(case: Scored, classes: np.ndarray) -> Scored:
    kept = np.isin(case.labels, classes)
    return Scored(case.scores[kept], case.labels[kept], case.seen_classes, case.unseen_classes)


def test_with_gamma_there_is_every_row_in_order_and_no_warning() -> None:
    result = evaluate_protocols(scored(0), gamma=0.2, resamples=10)
    assert tuple(result.rows) == ROWS
    assert tuple(result.intervals) == tuple(row for row in ROWS if row != "reference")
    assert result.warnings == ()
    assert result.rows["gzsl-calibrated"]["gamma"] == 0.2


def test_rows_equal_per_class_accuracies_of_the_answers() -> None:
    case = scored(1)
    rows = evaluate_protocols(case, gamma=0.3, resamples=0).rows
    for row, gamma in (("gzsl", 0.0), ("gzsl-calibrated", 0.3)):
        right = case.answers().predicted(gamma) == case.labels
        seen, unseen = (np.mean([right[case.labels == c].mean() for c in part]) for part in ([0, 1, 2], [3, 4, 5]))
        assert rows[row]["U"] == pytest.approx(unseen)
        assert rows[row]["S"] == pytest.approx(seen)
        assert rows[row]["H"] == pytest.approx(2 * seen * unseen / (seen + unseen))
    among = case.scores[:, 3:].argmax(axis=1) + 3 == case.labels
    assert rows["zsl"]["T1"] == pytest.approx(np.mean([among[case.labels == c].mean() for c in (3, 4, 5)]))


@pytest.mark.parametrize("seed", range(5))
def test_oracle_is_never_below_any_calibration(seed: int) -> None:
    rows = evaluate_protocols(scored(seed), gamma=0.1 * seed, resamples=0).rows
    assert rows["gzsl-oracle"]["H"] >= max(rows["gzsl"]["H"], rows["gzsl-calibrated"]["H"])


def test_without_gamma_or_a_side_the_rows_are_absent_with_a_warning() -> None:
    case = scored(0)
    no_gamma = evaluate_protocols(case, resamples=0)
    assert "gzsl-calibrated" not in no_gamma.rows
    assert "this model has no gamma chosen on validation images" in no_gamma.warnings[0]
    unseen = evaluate_protocols(side(case, case.unseen_classes), resamples=5)
    assert set(unseen.rows) == set(unseen.intervals) == {"zsl"}
    assert unseen.warnings == ("no gzsl rows: there are no test images of seen classes",)
    seen = evaluate_protocols(side(case, case.seen_classes), resamples=5)
    assert (seen.rows, seen.intervals) == ({}, {})
    assert seen.warnings == ("no rows, only counts: every row needs images of unseen classes, and there are none",)


def test_document_is_in_percent_except_gamma_and_offset() -> None:
    result = evaluate_protocols(scored(0), gamma=0.2, resamples=10)
    document = result.document()
    assert sum(document["images"].values()) == 60
    assert document["protocols"]["gzsl-calibrated"]["gamma"] == 0.2
    assert document["protocols"]["reference"]["offset"] == result.rows["reference"]["offset"]
    assert document["protocols"]["zsl"]["T1"] == 100 * result.rows["zsl"]["T1"]
    assert document["intervals"]["zsl"]["T1"] == [100 * bound for bound in result.intervals["zsl"]["T1"]]


def test_per_image_rows_count_images_and_not_classes() -> None:
    case = scored(8, 90)
    evaluation = evaluate_protocols(case, gamma=0.2, resamples=0)
    answers = evaluation.answers
    right = answers.predicted(0.2) == case.labels
    found = evaluation.per_image()["gzsl-calibrated"]
    assert found["S"] == pytest.approx(right[answers.is_seen].mean())
    assert found["U"] == pytest.approx(right[~answers.is_seen].mean())
    assert found["H"] == pytest.approx(2 * found["S"] * found["U"] / (found["S"] + found["U"]))
    assert evaluation.per_image()["zsl"]["T1"] == pytest.approx(answers.unseen_correct[~answers.is_seen].mean())
    assert set(evaluation.per_image()) == {"zsl", "gzsl", "gzsl-calibrated", "gzsl-oracle"}


def test_a_gamma_chosen_on_validation_images_is_not_labelled_as_chosen_on_test() -> None:
    assert about("gzsl-oracle") == "gamma from test: an upper bound"
    assert about("gzsl-oracle", "fold-1") == "gamma from these validation images: an upper bound"
    (warning,) = evaluate_protocols(scored(0), resamples=0, split="fold-1").warnings
    assert warning.endswith("these are the validation images on which gamma is chosen")
    assert all("train with --calibrate" in one for one in evaluate_protocols(scored(0), resamples=0).warnings)
