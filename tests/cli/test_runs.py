"""Test `svipctl runs`: the table of runs, sorted, as JSON and as CSV."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.test_schemas import follows
from tests.conftest import Command
from tests.runs.made import rewrite


@pytest.fixture
def two(trained_copy: Path) -> Path:
    """Return the folder of runs with two that differ in their seed; the second has a higher T1."""
    other = Path(shutil.copytree(trained_copy, trained_copy.parent / "second"))
    config = (other / "config.toml").read_text()
    rewrite(other / "config.toml", config.replace("seed = 0", "seed = 1"))
    (other / "eval").mkdir()
    (other / "eval" / "metrics.json").write_text('{"epoch": 1, "protocols": {"zsl": {"T1": 99.0}}}')
    return trained_copy.parent


def test_the_document_has_every_run_and_the_mean_over_seeds(command: Command, two: Path) -> None:
    done = command("runs", "small", "--json")
    assert done.code == 0, done.stderr
    assert follows("runs", done.document)
    assert [one["run"] for one in done.document["runs"]] == ["first", "second"]
    assert [one["state"] for one in done.document["runs"]] == ["finished"] * 2
    (group,) = done.document["means"]
    assert group["means"]["T1"]["mean"] == pytest.approx((done.document["runs"][0]["T1"] + 99.0) / 2)


def test_runs_sorted_by_a_figure_begin_with_the_best(command: Command, two: Path) -> None:
    rows = list(csv.DictReader(command("runs", "small", "--sort", "T1", "--csv").stdout.splitlines()))
    assert [row["run"] for row in rows] == ["second", "first"]
    assert "model.weights=none" in rows[0]["different"]
    lines = command("runs", "--sort", "name").stdout.splitlines()
    assert lines[0].startswith("2 runs, data set small, recipe svipctl")
    assert [line.split()[0] for line in lines[2:]] == ["first", "second", "mean"]
    assert "99.0" in lines[3]


@pytest.mark.parametrize("sort", ["age", "name", "T1"])
def test_the_newest_run_of_a_seed_counts_in_the_mean_in_every_order(command: Command, two: Path, sort: str) -> None:
    newest = Path(shutil.copytree(two / "second", two / "a-newest"))
    (newest / "eval" / "metrics.json").write_text('{"epoch": 1, "protocols": {"zsl": {"T1": 1.0}}}')
    os.utime(newest / "config.toml", ns=(2**62, 2**62))
    document = command("runs", "small", "--sort", sort, "--json").document
    (group,) = document["means"]
    assert group["runs"] == ["first", "a-newest"]


def test_a_damaged_run_is_reported_and_the_others_are_listed(command: Command, two: Path) -> None:
    (two / "second" / "config.toml").write_text("epochs = ")
    done = command("runs", "--json")
    assert done.code == 0
    assert "second/config.toml is damaged" in done.stderr
    assert [one["run"] for one in done.document["runs"]] == ["first"]


def test_no_runs_and_no_such_data_set_are_different_answers(command: Command, tmp_path: Path) -> None:
    done = command("runs")
    assert (done.code, done.stdout) == (0, "")
    assert "svipctl train toybirds" in done.stderr
    assert command("runs", "tpybirds").code == 2


def test_a_name_that_is_a_formula_or_a_control_code_is_text_in_the_csv(command: Command, two: Path) -> None:
    (two / "first").rename(two / "=1+2")
    (two / "second").rename(two / "\x1b[31m")
    rows = list(csv.DictReader(command("runs", "small", "--sort", "name", "--csv").stdout.splitlines()))
    assert [row["run"] for row in rows] == ["\\x1b[31m", "'=1+2"]
    assert rows[0]["H"] == "", "a metric that is not known is an empty cell"
