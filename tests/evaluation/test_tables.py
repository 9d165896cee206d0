"""Test that the rows of an evaluation as CSV and Markdown equal the document."""

from __future__ import annotations

import csv
import io

from svipctl.evaluation.protocols import ROWS, evaluate_protocols
from svipctl.evaluation.tables import comma_separated, leak, markdown, remarks
from tests.evaluation.cases import scored

DOCUMENT = evaluate_protocols(scored(0), gamma=0.3, resamples=20).document()


def test_csv_has_every_row_over_classes_and_over_images() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(DOCUMENT))))
    over_images = [(row, "images") for row in DOCUMENT["per_image"]]
    assert [(row["protocol"], row["average"]) for row in rows] == [
        *((row, "images" if row == "reference" else "classes") for row in ROWS),
        *over_images,
    ]
    calibrated = next(row for row in rows if row["protocol"] == "gzsl-calibrated")
    assert float(calibrated["H"]) == DOCUMENT["protocols"]["gzsl-calibrated"]["H"]
    assert float(calibrated["gamma"]) == 0.3
    low, high = DOCUMENT["intervals"]["gzsl-calibrated"]["H"]
    assert float(calibrated["H_half"]) == (high - low) / 2
    assert calibrated["T1"] == ""


def test_markdown_has_the_table_and_the_leak() -> None:
    head, rule, *rows, blank, last = markdown(DOCUMENT).splitlines()
    assert len({line.count("|") for line in (head, rule, *rows)}) == 1
    assert len(rows) == len(ROWS) + len(DOCUMENT["per_image"])
    assert rows[0].startswith(f"| `zsl` | classes | {DOCUMENT['protocols']['zsl']['T1']:.1f} ±")
    found = DOCUMENT["protocols"]["reference"]["H"] - DOCUMENT["protocols"]["gzsl-calibrated"]["H"]
    assert (blank, last) == ("", f"The leak, H of `reference` minus H of `gzsl-calibrated`: {found:+.1f}.")


def test_without_a_gamma_from_validation_no_leak_is_reported() -> None:
    document = evaluate_protocols(scored(0), resamples=0).document()
    assert leak(document) is None
    assert "leak" not in markdown(document)


def test_a_recall_that_was_not_measured_is_not_shown() -> None:
    lines = [*remarks({**DOCUMENT, "selection": {"mask": {"auc": 61.2}, "auc": 50.0, "recall": 40.0}})]
    assert "patch classifier against ground-truth masks: AUC 61.2" in lines
    assert "patch classifier against its pseudo-labels: AUC 50.0, recall of unrelated windows 40.0" in lines
