"""Test `svipctl reproduce` as a user runs it: real commands on the tiny data folder."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from svipctl.cli._reproduce import check_published
from svipctl.errors import CheckFailed
from tests.cli.test_schemas import follows
from tests.conftest import Command, of_every_recipe, write_small_folder
from tests.processes import clean_environment, forked, fresh

pytestmark = pytest.mark.slow

_REPORT = ("reproduction.csv", "reproduction.json", "reproduction.md")


def requested(tiny: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """Return the arguments for one recipe, one seed and no controls."""
    return (
        "reproduce",
        "small",
        *of_every_recipe(tiny),
        "--seeds",
        "1",
        "--controls",
        "none",
        "--recipes",
        "reference",
        *more,
    )


def report(folder: Path) -> dict[str, str]:
    return {name: (folder / "runs" / "small" / name).read_text() for name in _REPORT}


@pytest.fixture(scope="module")
def done(tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `svipctl reproduce` has finished."""
    folder = tmp_path_factory.mktemp("reproduce")
    write_small_folder(folder / "small")
    ended = fresh(*requested(tiny, "--no-baselines", "--json"), cwd=folder)
    assert ended.code == 0, ended.stderr
    assert follows("reproduce", ended.document)
    assert json.loads(report(folder)["reproduction.json"]) == ended.document
    return folder


def test_the_table_is_made_from_the_results_of_its_runs(done: Path) -> None:
    (row,) = json.loads(report(done)["reproduction.json"])["rows"]
    metrics = json.loads((done / "runs" / "small" / "table-reference-full-seed0" / "eval" / "metrics.json").read_text())
    assert (row["recipe"], row["row"], row["n"]) == ("reference", "full", 1)
    for figure, protocol in (("T1", "zsl"), ("H", "gzsl-calibrated"), ("H", "reference")):
        found = row["figures"][f"{protocol}.{figure}"]
        assert found["mean"] == pytest.approx(metrics["protocols"][protocol][figure], abs=1e-4)
    assert "epoch chosen on test.H" in row["figures"]


def test_finished_work_is_not_repeated(done: Path, tiny: tuple[str, ...]) -> None:
    before = report(done)
    again = forked(*requested(tiny, "--no-baselines"), cwd=done, streams=done / ".streams")
    assert again.code == 0, again.stderr
    assert "starting" not in again.stderr
    assert report(done) == before
    rest = forked(*requested(tiny, "--no-baselines", "--plan", "-"), cwd=done, streams=done / ".streams")
    assert (rest.code, rest.stdout.strip()) == (0, "")


def test_the_plan_run_by_hand_gives_the_same_table(done: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    write_small_folder(tmp_path / "small")
    streams = tmp_path / ".streams"
    plan = forked(*requested(tiny, "--no-baselines", "--plan", "plan.sh"), cwd=tmp_path, streams=streams)
    assert plan.code == 0, plan.stderr
    lines = (tmp_path / "plan.sh").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        ended = forked(*shlex.split(line)[1:], cwd=tmp_path, streams=streams)
        assert ended.code == 0, ended.stderr
    table = forked(*requested(tiny, "--no-baselines"), cwd=tmp_path, streams=streams)
    assert table.code == 0, table.stderr
    assert "starting" not in table.stderr
    assert report(tmp_path) == report(done)


def test_a_killed_reproduce_waits_for_its_training_and_ends_with_the_same_table(
    done: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    write_small_folder(tmp_path / "small")
    command = [sys.executable, "-m", "svipctl", *requested(tiny, "--no-baselines")]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("starting: final"):
            break
    process.kill()
    process.wait()
    process.stderr.close()
    again = fresh(*requested(tiny, "--no-baselines"), cwd=tmp_path)
    assert again.code == 0, again.stderr
    assert report(tmp_path) == report(done)


def test_a_stopped_reproduce_stops_its_command_and_prints_how_to_resume(tiny: tuple[str, ...], tmp_path: Path) -> None:
    write_small_folder(tmp_path / "small")
    command = [sys.executable, "-m", "svipctl", *requested(tiny, "--no-baselines")]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("starting: development"):
            break
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait() == 75
    assert "stopped by SIGTERM" in rest
    assert "run the same command again" in rest


def test_a_failing_command_is_named_with_its_reason_and_the_table_is_written(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    folder = write_small_folder(tmp_path / "small")
    (folder / "images" / "seen_a" / "0.png").write_text("no picture")
    ended = command(*requested(tiny, "--no-baselines"))
    assert ended.code == 1
    assert "3 of 3 commands failed, or were not run because of a failure" in ended.stderr
    assert "seen_a/0.png does not decode" in ended.stderr
    assert "eval table-reference-full-seed0: not run, because what it needs failed" in ended.stderr
    assert "no results yet: table-reference-full-seed0" in report(tmp_path)["reproduction.md"]


def test_other_flags_for_existing_names_are_refused_with_the_differences(done: Path, tiny: tuple[str, ...]) -> None:
    before = report(done)
    other = forked(*requested(tiny, "--no-baselines", "--lr", "0.5"), cwd=done, streams=done / ".streams")
    assert other.code == 2
    assert report(done) == before
    assert "table-reference-full-fold1: optim.lr: 3e-05 in the run, 0.5 now" in other.stderr


def test_a_dry_run_writes_nothing_and_names_every_command(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    write_small_folder(tmp_path / "small")
    ended = command(*requested(tiny, "--dry-run", "--json"))
    assert ended.code == 0, ended.stderr
    assert follows("reproduce", ended.document)
    kinds = [step["kind"] for step in ended.document["steps"]]
    assert kinds == ["baseline"] * 5 + ["development", "final", "evaluation"]
    assert {step["state"] for step in ended.document["steps"]} == {"to do"}
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toybirds", "--check"), "there are no published numbers of toybirds"),
        (("cub", "--check", "--recipes", "svipctl"), "add reference to --recipes"),
        (("cub", "--check", "--allow-partial"), "not comparable with published ones"),
        (("toybirds", "--recipes", "svipctl,referense"), "did you mean 'reference'"),
        (("toybirds", "--controls", "sel-nome"), "did you mean 'sel-none'"),
        (("toybirds", "--launcher", "slrum"), "did you mean 'slurm'"),
        (("toybirds", "--seeds", "0"), "--seeds"),
        (("toybirds", "--recipes", " ,"), "--recipes names no recipe"),
        (("toybirds", "--set", "seed=5"), "--set seed: the table sets it for each of its runs"),
        (("toybirds", "--set", "train.fold = 2"), "--set train.fold: the table"),
        (("toybirds", "--name", "a/b", "--dry-run"), "'a/b' is not a valid run name"),
        (("toybirds", "--name", "", "--plan", "-"), "'' is not a valid run name"),
    ],
)
def test_an_impossible_plan_is_a_usage_error_before_anything_runs(
    arguments: tuple[str, ...], message: str, command: Command, tmp_path: Path
) -> None:
    ended = command("reproduce", *arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert message in ended.stderr
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "data").exists()


def test_the_table_through_submitit_is_the_same(done: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    write_small_folder(tmp_path / "small")
    flags = ("--no-baselines", "--launcher", "slurm", "--slurm", "cluster=local", "--slurm", "timeout_min=10")
    ended = fresh(*requested(tiny, *flags), cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    assert report(tmp_path) == report(done)


def comparison(ours: float) -> dict[str, object]:
    return {"row": "full", "figure": "H", "published": 75.0, "ours": ours, "difference": ours - 75.0, "n": 3}


@pytest.mark.parametrize(("ours", "fits"), [(75.0, True), (73.1, True), (77.0, True), (72.9, False), (80.0, False)])
def test_a_check_fails_when_a_number_is_outside_the_tolerance(ours: float, fits: bool) -> None:
    document = {"published": [comparison(75.5), comparison(ours)]}
    if fits:
        check_published(document, 2.0)
        return
    with pytest.raises(CheckFailed) as caught:
        check_published(document, 2.0)
    assert caught.value.what.startswith("1 of 2 numbers differ by more than 2 points")
    assert f"{ours:.1f}, published 75.0" in caught.value.why
    assert caught.value.exit_code == 1


def test_a_check_without_numbers_fails() -> None:
    with pytest.raises(CheckFailed, match="no run can be compared"):
        check_published({"published": []}, 2.0)
