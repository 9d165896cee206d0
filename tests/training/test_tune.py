"""Test requests that a study refuses before anything is trained or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ConfigError
from svipctl.settings.layers import resolve
from svipctl.training.tune import Tuning, plan_tuning


def plan(folder: Path, runs: Path, assignments: Sequence[str] = (), search: Sequence[str] = (), **flags: Any) -> Tuning:
    given = {"runs_dir": runs, "gpu": "cpu", **flags}
    return plan_tuning(
        lambda values: resolve(str(folder), flags={**given, **values}, assignments=assignments), list(search)
    )


@pytest.mark.parametrize(
    ("assignments", "search", "said"),
    [
        (["train.fold=1"], [], r"train.fold = 1 \(flag\) contradicts tuning"),
        (["train.monitor=test"], [], "never on test"),
        (["train.monitor=test", "train.select=test"], [], "never on test"),
        ([], ["train.monitor=validation,test"], "not a setting that a study can vary"),
        ([], ["optim.optimizer=adam,adan"], "optim.optimizer"),
        (["optim.lr=1e-2"], ["optim.lr=1e-3:1e-1"], "tune sets optim.lr itself"),
        (["gpu=cpu,cpu"], [], "names several devices"),
        (["name=.."], [], "not a valid run name"),
    ],
)
def test_a_study_on_test_images_or_of_untunable_settings_is_refused(
    assignments: list[str], search: list[str], said: str, shared_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(shared_folder, tmp_path / "runs", assignments, search)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("recipe", ["svipctl", "hybrid", "reference", "paper"])
def test_every_recipe_can_be_tuned_and_its_runs_are_validated_on_folds(
    recipe: str, shared_folder: Path, tmp_path: Path
) -> None:
    tuning = plan(shared_folder, tmp_path, recipe=recipe)
    assert tuning.folder == tmp_path / "small" / f"{recipe}-seed0-tune"
    assert "optim.lr" in tuning.space
    assert not tuning.folder.exists()
