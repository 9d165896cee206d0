"""Test development runs on folds and the final run that takes its epoch count and gamma from them."""

from __future__ import annotations

import functools
import json
import re
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from svipctl.training.development import VALIDATION_CURVE
from tests.conftest import Command
from tests.processes import Finished, forked
from tests.runs.made import make_old, rewrite
from tests.training.test_resume import signal_at_update

pytestmark = pytest.mark.slow

TWO_EPOCHS = ("--epochs", "2", "--set", "train.monitor=validation", "--set", "train.select=validation")


@pytest.fixture(scope="module")
def folder(shared_folder: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two development runs, d1 and d2, a final run from both, `final`, and a run on all of trainval, `plain`."""
    folder = tmp_path_factory.mktemp("final")

    def run(*arguments: str) -> Finished:
        done = forked(*arguments, cwd=folder, streams=folder / ".streams")
        assert done.code == 0, done.stderr
        return done

    base = ("train", str(shared_folder), *without_epochs(tiny))
    for fold in "12":
        run(*base, *TWO_EPOCHS, "--fold", fold, "--name", f"d{fold}")
    run(*base, *final("d1", "d2"), "--name", "final")
    run(*base, "--epochs", "1", "--name", "plain")
    return folder


def without_epochs(arguments: tuple[str, ...]) -> tuple[str, ...]:
    at = arguments.index("--epochs")
    return arguments[:at] + arguments[at + 2 :]


def final(*runs: str) -> tuple[str, ...]:
    return ("--final", *(part for run in runs for part in ("--from-development", run)))


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """Copy the runs of `folder` into the test's own folder of runs."""
    return Path(shutil.copytree(folder / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns("eval"))) / "small"


def records(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_epochs_are_the_median_and_gamma_is_pooled_over_what_each_fold_found(folder: Path) -> None:
    runs = folder / "runs" / "small"
    best = [max(records(runs / name), key=lambda record: record["H_oracle"]) for name in ("d1", "d2")]
    development = json.loads((runs / "final" / "development.json").read_text())
    curves = [json.loads((runs / name / "checkpoints/best" / VALIDATION_CURVE).read_text()) for name in ("d1", "d2")]

    def mean_harmonic(gamma: float) -> float:
        found = []
        for curve, record in zip(curves, best):
            place = sum(step <= gamma for step in curve["steps"])
            unseen, seen = curve["unseen"][place], curve["seen"][place]
            found.append(2 * unseen * seen / (unseen + seen) if unseen + seen else 0.0)
            highest = max(2 * u * s / (u + s) if u + s else 0.0 for u, s in zip(curve["unseen"], curve["seen"]))
            assert 100 * highest == pytest.approx(record["H_oracle"], abs=1e-3)
        return sum(found) / len(found)

    steps = sorted(step for curve in curves for step in curve["steps"])
    assert mean_harmonic(development["gamma"]) == max(mean_harmonic(gamma) for gamma in [steps[0] - 1, *steps])
    assert development["epochs"] == max(1, round(median(record["epoch"] for record in best)))
    assert [(run["run"], run["fold"]) for run in development["runs"]] == [("d1", 1), ("d2", 2)]
    config = tomllib.loads((runs / "final" / "config.toml").read_text())
    assert config["train"]["epochs"] == development["epochs"] == len(records(runs / "final"))


def test_a_final_run_has_the_configuration_of_its_development_run(
    command: Command, copied: Path, shared_folder: Path
) -> None:
    flags = (*final("d1"), "--name", "inherited", "--gpu", "cpu", "--set", "data.workers=0")
    done = command("train", str(shared_folder), *flags)
    assert done.code == 0, done.stderr
    one, other = (tomllib.loads((copied / name / "config.toml").read_text()) for name in ("d1", "inherited"))
    assert all(one[section] == other[section] for section in ("model", "method", "optim"))
    assert one["train"]["fold"] == 1
    assert "fold" not in other["train"]
    theirs, origins = (json.loads((copied / name / "origins.json").read_text()) for name in ("d1", "inherited"))
    assert {key: origins.get(key) for key in theirs if key.startswith(("model.", "method."))} == {
        key: origin for key, origin in theirs.items() if key.startswith(("model.", "method."))
    }
    assert origins["train.epochs"] == "development runs"
    assert "optim.weight_decay" not in origins, "neither run sets it"
    said = command("predict", str(shared_folder / "images" / "unseen_x"), "--run", "inherited", "--gpu", "cpu").stderr
    assert "(chosen on validation images, by d1)" in said
    lines = command("eval", str(shared_folder), "--run", "inherited", "--gpu", "cpu").stdout.splitlines()
    row = next(line.split() for line in lines if "gzsl-calibrated" in line)
    assert row[7] == re.search(r"gamma (-?\d\.\d{4})", said)[1]


@pytest.mark.fast
def test_the_calibrated_row_of_a_final_run_has_its_gamma(folder: Path, shared_folder: Path) -> None:
    done = forked(
        *("eval", str(shared_folder), "--run", "final", "--json", "--gpu", "cpu"),
        cwd=folder,
        streams=folder / ".streams",
    )
    assert done.code == 0, done.stderr
    development = json.loads((folder / "runs" / "small" / "final" / "development.json").read_text())
    protocols = done.document["protocols"]
    assert protocols["gzsl-calibrated"]["gamma"] == development["gamma"]
    assert protocols["gzsl-calibrated"]["H"] <= protocols["gzsl-oracle"]["H"] + 1e-9
    assert "H" in done.document["intervals"]["gzsl-calibrated"]
    assert done.document["development"] == development
    assert "no row gzsl-calibrated" not in done.stderr


@pytest.mark.fast
def test_no_image_that_gamma_was_chosen_on_is_a_test_image(folder: Path, shared_folder: Path) -> None:
    chosen = set((folder / "runs" / "small" / "final" / "validation_images.txt").read_text().splitlines())
    trained = set((folder / "runs" / "small" / "final" / "training_images.txt").read_text().splitlines())
    assert chosen
    assert chosen <= trained  # trainval of the proposed split


def test_a_gamma_chosen_on_test_images_under_a_validation_label_is_refused(
    command: Command, copied: Path, shared_folder: Path
) -> None:
    images = copied / "final" / "validation_images.txt"
    rewrite(images, images.read_text() + "images/unseen_x/0.png\n")
    done = command("eval", str(shared_folder), "--run", "final", "--gpu", "cpu")
    assert (done.code, done.stdout) == (3, "")
    assert "gamma of final was chosen on 1 of the 20 images" in done.stderr
    assert not (copied / "final" / "eval").exists()


def test_a_final_run_without_its_list_of_validation_images_is_refused(
    command: Command, copied: Path, shared_folder: Path
) -> None:
    (copied / "final" / "validation_images.txt").unlink()
    make_old(copied / "final")
    done = command("eval", str(shared_folder), "--run", "final", "--gpu", "cpu")
    assert (done.code, done.stdout) == (3, "")
    assert "does not record which images its gamma was chosen on" in done.stderr


def described(section: str, key: str, value: str) -> Callable[[Path], None]:
    """Return a change of the metadata of d1's best checkpoint; of the document itself if no section is given."""

    def change(runs: Path) -> None:
        path = runs / "d1" / "checkpoints" / "best" / "metadata.json"
        metadata = json.loads(path.read_text())
        (metadata[section] if section else metadata)[key] = value
        rewrite(path, json.dumps(metadata))

    return change


def with_other(images: str) -> Callable[[Path], None]:
    """Return a change of d1, as if the fold had been another when it was trained."""

    def change(runs: Path) -> None:
        path = runs / "d1" / f"{images}_images.txt"
        rewrite(path, "\n".join(path.read_text().splitlines()[1:]) + "\n")

    return change


def unfinished(runs: Path) -> None:
    (runs / "d1" / "finished.json").unlink()


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (described("metrics", "monitor", "test"), 3, "its best epoch was evaluated on test"),
        (with_other("training"), 3, "fold 1 of small has changed since d1"),
        (with_other("validation"), 3, "fold 1 of small has changed since d1"),
        (described("", "class_attributes_sha256", "0" * 64), 3, "the class attributes of small have changed since d1"),
        (described("", "word_vectors_sha256", "0" * 64), 3, "the word vectors have changed since d1"),
        (described("backbone_weights", "sha256", "0" * 64), 3, "the starting weights have changed since d1"),
        (unfinished, 2, "is not finished"),
    ],
)
def test_a_development_run_whose_gamma_is_not_from_validation_or_of_other_inputs_is_refused(
    damage: Callable[[Path], None],
    code: int,
    message: str,
    command: Command,
    copied: Path,
    shared_folder: Path,
    tiny: tuple[str, ...],
) -> None:
    damage(copied)
    done = command("train", str(shared_folder), *without_epochs(tiny), *final("d1"), "--name", "other")
    assert (done.code, done.stdout) == (code, "")
    assert message in done.stderr
    assert not (copied / "other").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--final",), "takes its epoch count and gamma from development runs"),
        (("--from-development", "d1"), "is for a final run"),
        ((*final("d1"), "--epochs", "3"), "cannot be combined"),
        ((*final("d1"), "--set", "train.epochs=7"), "train.epochs is 7, and development found"),
        ((*final("d1"), "--fold", "2"), "trains on all of trainval"),
        ((*final("d1"), "--set", "train.monitor=test", "--set", "train.select=test"), "requires train.select"),
        (final("plain"), "plain is not a development run"),
        (final("d1", "d1"), "two development runs are of the same fold 1 and seed 0"),
        ((*final("d1"), "--lr", "1"), "optim.lr: 3e-05 in the run, 1.0 now"),
        ((*final("d1"), "--recipe", "reference"), "recipe: svipctl in the run, reference now"),
    ],
)
def test_a_final_run_that_contradicts_its_development_is_refused(
    flags: tuple[str, ...],
    message: str,
    command: Command,
    copied: Path,
    shared_folder: Path,
    tiny: tuple[str, ...],
) -> None:
    done = command("train", str(shared_folder), *without_epochs(tiny), *flags, "--name", "other")
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (copied / "other").exists()


def test_a_final_run_resumes_only_with_its_own_development_runs(
    command: Command, copied: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    (copied / "final" / "finished.json").unlink()
    base = ("train", str(shared_folder), *without_epochs(tiny), "--resume", "final")
    done = command(*base, *final("d1"))
    assert done.code == 2
    assert "started with" in done.stderr or "started from other development runs" in done.stderr
    done = command(*base, *final("d1", "d2"))
    assert done.code == 0, done.stderr
    assert (copied / "final" / "finished.json").exists()


def test_a_dry_run_of_a_final_run_reports_what_it_takes_over(
    command: Command, copied: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *without_epochs(tiny), *final("d1", "d2"), "--dry-run", "--json")
    assert done.code == 0, done.stderr
    assert done.document["development"] == json.loads((copied / "final" / "development.json").read_text())


def test_development_runs_of_the_last_release_without_a_curve_give_their_median(
    copied: Path, command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    for name in ("d1", "d2"):
        (copied / name / "checkpoints/best" / VALIDATION_CURVE).unlink()
        make_old(copied / name / "checkpoints/best")
    done = command("train", str(shared_folder), *without_epochs(tiny), *final("d1", "d2"), "--name", "again")
    assert done.code == 0, done.stderr
    development = json.loads((copied / "again" / "development.json").read_text())
    assert development["gamma"] == pytest.approx(median(run["gamma"] for run in development["runs"]))
    assert "median" in development["rule"]


def test_calibrate_trains_the_folds_and_the_final_run_and_resumes_a_killed_one(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, "--calibrate", "--name", "all")
    planned = command(*arguments, "--dry-run", "--json")
    assert planned.code == 0, planned.stderr
    assert planned.document["dry_run"]
    killed = command(*arguments, first=functools.partial(signal_at_update, 12, signal.SIGKILL))
    assert killed.code == -signal.SIGKILL
    stopped = command(*arguments, first=functools.partial(signal_at_update, 2, signal.SIGTERM))
    assert stopped.stderr.endswith("  next: run the same command with --resume\n")
    done = command(*arguments, "--resume", "--json")
    assert done.code == 0, done.stderr
    runs = tmp_path / "runs" / "small"
    assert {path.name for path in runs.iterdir()} == {"all", "all-fold1", "all-fold2", "all-fold3"}
    development = json.loads((runs / "all" / "development.json").read_text())
    assert [run["run"] for run in development["runs"]] == ["all-fold1", "all-fold2", "all-fold3"]
    assert done.document["run"] == "runs/small/all"
    again = command(*arguments)
    assert again.stderr.count("is finished: nothing is left to do") == 4


def test_a_run_without_gamma_names_the_calibrated_one(
    command: Command, folder: Path, copied: Path, shared_folder: Path
) -> None:
    images = str(shared_folder / "images" / "unseen_x")
    said = command("predict", images, "--run", "plain", "--gpu", "cpu").stderr
    assert "pass --gamma, or use --run runs/small/final\n" in said
    (copied / "final" / "development.json").write_text("{")
    damaged = command("predict", images, "--run", "plain", "--gpu", "cpu")
    assert damaged.code == 0, "the advice needs no other run"
    shutil.rmtree(copied / "final")
    shutil.copytree(folder / "runs" / "small" / "final", copied / "final")
    table = (shared_folder / "attributes.csv").read_text().replace("seen_", "new_")
    (copied.parent.parent / "renamed.csv").write_text(table)
    said = command("predict", images, "--run", "final", "--gpu", "cpu", "--classes", "renamed.csv").stderr
    assert "is not used: no candidate has the name of a class that final was trained on" in said


@pytest.mark.parametrize("flag", [("--fold", "1"), ("--final",), ("--resume", "other"), ("--set", "train.fold=2")])
def test_calibrate_refuses_the_settings_that_it_decides_itself(
    flag: tuple[str, ...], command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *tiny, "--calibrate", *flag)
    assert done.code == 2
    assert f"--calibrate cannot be combined with {flag[0] if flag[0] != '--set' else '--fold'}" in done.stderr


def test_a_gamma_from_few_classes_gives_a_warning(
    command: Command, copied: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *without_epochs(tiny), *final("d1", "d2"), "--name", "again")
    assert "gamma is chosen on only 2 unseen classes per fold" in done.stderr
