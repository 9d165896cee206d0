"""Evaluating a run folder."""

from __future__ import annotations

import json

from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.evaluate import evaluate_run
from svipctl.runs.run import Run
from tests.evaluation.cases import SETTINGS


def test_document_is_returned_and_kept_beside_the_checkpoint(run: Run, data: Benchmark) -> None:
    document, evaluation = evaluate_run(run, data, SETTINGS)
    assert json.loads((run.folder / "eval" / "metrics.json").read_text()) == document
    assert document["images"] == {"seen": 2, "unseen": 6}
    assert set(document["protocols"]) == {"zsl", "gzsl", "gzsl-oracle", "reference", "ausuc"}
    assert document["protocols"]["zsl"]["T1"] == 100 * evaluation.rows["zsl"]["T1"]
    assert document["selection"]
