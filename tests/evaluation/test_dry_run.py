"""Test that the plan of an evaluation predicts what the evaluation does, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from svipctl.datasets.folder import open_folder
from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.evaluate import evaluate_subject, plan_evaluation
from svipctl.inference.load import load
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from tests.processes import files_under


@pytest.fixture
def settings(shared_folder: Path) -> Settings:
    return resolve(str(shared_folder), flags={"gpu": "cpu", "eval.bootstrap": 0, "data.workers": 0}).settings


@pytest.mark.parametrize("kind", ["run", "checkpoint"])
def test_the_evaluation_does_what_the_plan_predicts(
    kind: str, settings: Settings, trained_copy: Path, shared_folder: Path
) -> None:
    run, before = Run(trained_copy), files_under(trained_copy)
    subject = run if kind == "run" else run.best
    plan = plan_evaluation(subject, settings)
    assert files_under(trained_copy) == before
    done = evaluate_subject(subject, open_folder(shared_folder), settings)
    assert plan["dataset"] == str(shared_folder)
    assert plan["precision"] == done.document["settings"]["precision"]
    assert (plan["split"], plan["images"]) == (done.document["split"], done.document["images"])
    assert plan["warnings"] == [warning for warning in done.warnings if not warning.startswith("no row")]
    parameters = sum(parameter.numel() for parameter in load(trained_copy, device="cpu").network.parameters())
    assert plan["memory_mib"] == round(4 * parameters / 2**20)
    if kind == "run":
        assert (plan["run"], plan["checkpoint"]) == (str(trained_copy), None)
        assert Path(plan["writes"]).exists()
    else:
        assert (plan["run"], plan["checkpoint"], plan["writes"]) == (None, str(run.best), None)


def test_the_plan_of_an_undrawn_data_set_omits_what_depends_on_it(
    settings: Settings, trained_copy: Path, tmp_path: Path
) -> None:
    undrawn = settings.model_copy(update={"dataset": "toybirds", "data_dir": tmp_path / "data"})
    for subject in (Run(trained_copy), Run(trained_copy).best):
        plan = plan_evaluation(subject, undrawn)
        assert plan["pictures_to_draw"] > 0
        assert (plan["split"], plan["images"], plan["memory_mib"], plan["warnings"]) == (None, None, None, [])
    assert not (tmp_path / "data").exists()


def test_the_plan_refuses_a_missing_gpu_and_a_damaged_checkpoint(
    settings: Settings, trained_copy: Path, tmp_path: Path
) -> None:
    undrawn = settings.model_copy(update={"dataset": "toybirds", "data_dir": tmp_path / "data"})
    with pytest.raises(ConfigError, match="there is no GPU 99"):
        plan_evaluation(Run(trained_copy), settings.model_copy(update={"gpu": "99"}))
    (trained_copy / "checkpoints" / "best" / "metadata.json").write_text("{")
    for chosen in (settings, undrawn):
        for subject in (Run(trained_copy), Run(trained_copy).best):
            with pytest.raises(DataError, match="is damaged"):
                plan_evaluation(subject, chosen)
