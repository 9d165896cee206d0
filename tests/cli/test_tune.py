"""Test `svipctl tune`: settings chosen on folds, a study that survives a kill, and a result that other commands use."""

from __future__ import annotations

import functools
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest

from svipctl.runs.run import Run
from tests.cli.test_schemas import follows
from tests.conftest import Command, of_every_recipe
from tests.faults import kill_at

pytestmark = pytest.mark.slow

SEARCH = ("--search", "optim.lr=1e-3:1e-1:log", "--search", "optim.optimizer=adam,adamw", "--precision", "fp32")


@pytest.fixture
def tune(shared_folder: Path, tiny: tuple[str, ...], command: Command) -> Callable[..., object]:
    return functools.partial(command, "tune", str(shared_folder), *tiny, *SEARCH, "--name", "study", "--json")


def test_a_study_chooses_the_best_trial_and_its_file_configures_training_and_tables(
    tune: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    document = tune("--trials", "2").document
    assert follows("tune", document)
    assert document["best"]["H"] == max(trial["H"] for trial in document["trials"])
    first, second = (trial["settings"] for trial in document["trials"])
    assert first != second
    assert all(
        1e-3 <= one["optim.lr"] <= 1e-1 and one["optim.optimizer"] in ("adam", "adamw") for one in (first, second)
    )
    for trial in document["trials"]:
        assert trial["H"] == pytest.approx(sum(trial["folds"]) / 3, abs=1e-3)

    study = tmp_path / "runs" / "small" / "study"
    runs = [Run(path.parent) for path in study.glob("small/*/finished.json")]
    assert {run.name for run in runs} == {f"trial{trial}-fold{fold}" for trial in (1, 2) for fold in (1, 2, 3)}
    assert {run.metrics[-1]["monitor"] for run in runs} == {"fold-1", "fold-2", "fold-3"}
    assert not list(study.glob("small/*/checkpoints"))
    assert command("runs", str(shared_folder), "--json").document["runs"] == []

    winner = tomllib.loads((study / "best.toml").read_text())
    assert winner["optim"]["lr"] == document["best"]["settings"]["optim.lr"]
    configured = ("--config", document["config"], "--gpu", "cpu")
    trained = command("train", str(shared_folder), *configured, "--set", "data.workers=0", "--name", "final")
    assert trained.code == 0, trained.stderr
    settings = Run(tmp_path / "runs" / "small" / "final").settings()
    assert settings.optim.lr == winner["optim"]["lr"]
    assert (settings.train.fold, settings.train.epochs) == (None, 1)
    table = ("--seeds", "1", "--controls", "none", "--no-baselines", "--plan", "-")
    planned = command("reproduce", str(shared_folder), *configured, *table)
    assert f"--config {document['config']}" in planned.stdout, planned.stderr


def test_a_killed_study_resumes_with_the_trials_it_would_have_had(tune: Command, tmp_path: Path) -> None:
    whole = tune("--trials", "2", "--runs-dir", "whole").document
    for number, run in ((2, "trial1-fold3"), (15, "trial2-fold2")):
        killed = tune("--trials", "2", first=functools.partial(kill_at, number, f"runs/small/study/small/{run}"))
        assert killed.code == -signal.SIGKILL, killed.stderr
    document = tune("--trials", "2").document
    assert [document["best"], document["trials"]] == [whole["best"], whole["trials"]]
    assert len(list((tmp_path / "runs").rglob("finished.json"))) == 6
    other = tune("--trials", "3", "--set", "method.scale=7")
    assert other.code == 2
    assert "method.scale: 5.0 in the study, 7.0 now" in other.stderr


def test_a_study_does_not_continue_on_other_images(
    small_folder: Path, tiny: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    pictures = small_folder / "images" / "seen_a"
    (pictures / "0.png").rename(pictures / normalize("NFC", "é.png"))
    split = small_folder / "split.csv"
    split.write_text(split.read_text().replace("seen_a/0.png", normalize("NFC", "seen_a/é.png")))
    words = ("tune", str(small_folder), *tiny, *SEARCH, "--name", "study", "--trials")
    assert command(*words, "1").code == 0
    (pictures / normalize("NFC", "é.png")).rename(pictures / normalize("NFD", "é.png"))
    assert command(*words, "1").code == 0  # the same images, on a disk of macOS
    split.write_text(split.read_text().replace("seen_a/1.png,trainval", "seen_a/1.png,test_seen"))
    refused = command(*words, "2")
    assert refused.code == 2
    assert "SHA-256 of the training images' names" in refused.stderr
    assert not (tmp_path / "runs/small/study/small/trial2-fold1").exists()


def test_a_file_that_selects_on_test_is_refused(shared_folder: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine.toml").write_text('[train]\nmonitor = "test"\n')
    done = command("tune", str(shared_folder), "--config", "mine.toml", "--dry-run")
    assert done.code == 2
    assert "train.monitor = test (mine.toml) contradicts tuning" in done.stderr


def test_a_dry_run_shows_the_search_and_writes_nothing(
    shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    words = (*of_every_recipe(tiny), "--recipe", "reference", "--trials", "5", "--dry-run", "--json")
    document = command("tune", str(shared_folder), *words).document
    assert follows("tune", document)
    assert "logarithmic" in document["search"]["optim.lr"]
    assert not (tmp_path / "runs").exists()
