"""Test that the evaluation reproduces every number of the published protocol on the traces' predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from svipctl.evaluation.predictions_file import read_predictions
from svipctl.evaluation.protocols import evaluate_protocols
from tests.reference.traces import FOLDER

TRACES = sorted((FOLDER / "evaluation").glob("*.json"))


def test_the_traces_exist() -> None:
    assert TRACES, f"no evaluation traces in {FOLDER}"


def whole(path: Path, folder: Path) -> Path:
    """Return all arrays of a trace: a large one is split into several files, `<case>.npz` and `<case>.<part>.npz`."""
    arrays: dict[str, np.ndarray] = {}
    for part in (path.with_suffix(".npz"), *path.parent.glob(f"{path.stem}.*.npz")):
        with np.load(part) as archive:
            arrays |= dict(archive)
    np.savez(folder / "trace.npz", **arrays)
    return folder / "trace.npz"


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_every_number_equals_the_trace(path: Path, tmp_path: Path) -> None:
    expected = json.loads(path.read_text())
    rows = evaluate_protocols(read_predictions(whole(path, tmp_path)), resamples=0).document()["protocols"]
    computed = {
        "zsl": rows["zsl"]["T1"],
        "gzsl_unseen": rows["gzsl"]["U"],
        "gzsl_seen": rows["gzsl"]["S"],
        "gzsl_h": rows["gzsl"]["H"],
        "stacked_unseen": rows["reference"]["U"],
        "stacked_seen": rows["reference"]["S"],
        "stacked_h": rows["reference"]["H"],
    }
    assert computed == pytest.approx(expected, rel=1e-6)
