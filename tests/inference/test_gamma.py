"""Test that a run has its own gamma only if it was chosen on validation images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from svipctl.errors import DataError
from svipctl.inference.checkpoint import Metadata, read_metadata
from svipctl.inference.gamma import Gamma, calibrated_gamma
from svipctl.runs.run import Run


@pytest.fixture
def metadata(trained_copy: Path) -> Metadata:
    return read_metadata(trained_copy / "checkpoints" / "best")


def evaluated(folder: Path, text: str) -> Run:
    (folder / "eval").mkdir()
    (folder / "eval" / "metrics.json").write_text(text)
    return Run(folder)


def test_gamma_does_not_depend_on_whether_the_run_was_evaluated(trained_copy: Path, metadata: Metadata) -> None:
    before = calibrated_gamma(Run(trained_copy), metadata)
    document = {"epoch": metadata.epoch, "protocols": {"gzsl-calibrated": {"gamma": 0.25}}}
    assert (
        calibrated_gamma(evaluated(trained_copy, json.dumps(document)), metadata) == before == Gamma(0, before.origin)
    )
    assert str(before) == "gamma 0.0000 (not calibrated on validation images, so seen classes are favoured)"
    assert Run(trained_copy).evaluation(metadata.epoch + 1) is None, "of another epoch"


def test_a_final_run_has_the_gamma_of_its_development_runs_before_it_is_evaluated(
    trained_copy: Path, metadata: Metadata
) -> None:
    (trained_copy / "development.json").write_text(json.dumps({"gamma": 0.12, "runs": [{"run": "d1"}, {"run": "d2"}]}))
    found = calibrated_gamma(Run(trained_copy), metadata)
    assert (found.value, found.origin) == (0.12, "chosen on validation images, by 2 development runs")
    assert str(found) == "gamma 0.1200 (chosen on validation images, by 2 development runs)"
    assert found.document() == {"gamma": 0.12, "gamma_origin": found.origin}


def test_a_gamma_chosen_on_test_is_not_used(trained_copy: Path, metadata: Metadata) -> None:
    run = evaluated(trained_copy, json.dumps({"protocols": {"gzsl-oracle": {"gamma": 0.25}}}))
    assert calibrated_gamma(run, replace(metadata, metrics={"monitor": "test", "gamma": 0.3})).value == 0


def test_a_development_run_has_the_gamma_of_its_validation_images(trained_copy: Path, metadata: Metadata) -> None:
    found = calibrated_gamma(Run(trained_copy), replace(metadata, metrics={"monitor": "fold-2", "gamma": 0.3}))
    assert (found.value, found.origin) == (0.3, "chosen on the validation images of fold-2")


@pytest.mark.parametrize("text", ["{", "[]", '{"protocols": {"gzsl-calibrated": {"gamma": "many"}}}'])
def test_a_damaged_evaluation_is_an_error(text: str, trained_copy: Path, metadata: Metadata) -> None:
    with pytest.raises(DataError, match="damaged"):
        evaluated(trained_copy, text).evaluation(metadata.epoch)
