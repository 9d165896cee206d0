"""Test `svipctl visualize curves|embedding|confusion|report|compare`: what is written, printed and refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from svipctl.errors import ExitCode
from tests.cli.test_bad_input import assert_refused
from tests.cli.test_schemas import follows
from tests.conftest import SEEN, UNSEEN, Command
from tests.processes import files_under
from tests.runs.made import rewrite
from tests.visuals.browser import needs_browser, opened

pytestmark = pytest.mark.slow

CPU = ("--gpu", "cpu")
FIGURES = ("curves", "embedding", "confusion")


@pytest.fixture
def small(shared_folder: Path, trained_copy: Path) -> str:
    """Return the data set; its run is in the folder of runs."""
    return str(shared_folder)


@pytest.fixture
def other(command: Command, small: str, tiny: tuple[str, ...], tmp_path: Path) -> Path:
    """Return a second run, with another seed."""
    done = command("train", small, *tiny, "--seed", "5", "--name", "second")
    assert done.code == 0, done.stderr
    return tmp_path / "runs" / "small" / "second"


@pytest.mark.parametrize("verb", FIGURES)
def test_a_figure_is_drawn_and_its_file_is_printed(verb: str, command: Command, small: str, tmp_path: Path) -> None:
    done = command("visualize", verb, small, "-o", f"{verb}.png", "--theme", "dark", "--json", *CPU)
    assert done.code == 0, done.stderr
    assert follows(f"visualize-{verb}", done.document)
    assert done.document["files"] == [f"{verb}.png"]
    with Image.open(tmp_path / f"{verb}.png") as image:
        assert min(image.size) > 400
        assert image.convert("L").resize((1, 1)).getpixel((0, 0)) < 100, "a dark page is dark"


@pytest.mark.parametrize("verb", [*FIGURES, "report"])
def test_a_dry_run_names_the_file_and_writes_nothing(verb: str, command: Command, small: str, tmp_path: Path) -> None:
    before = files_under(tmp_path / "runs")
    done = command("visualize", verb, small, "--dry-run", "--json", *CPU)
    assert done.code == 0, done.stderr
    assert follows(f"visualize-{verb}", done.document)
    assert files_under(tmp_path / "runs") == before


def test_curves_of_the_training_need_no_evaluation(command: Command, small: str, tmp_path: Path) -> None:
    done = command("visualize", "curves", small, "--training", "-o", "training.svg", "--json", *CPU)
    assert done.code == 0, done.stderr
    assert follows("visualize-curves", done.document)
    assert not (tmp_path / "runs" / "small" / "first" / "eval").exists()
    assert "cross-entropy" in (tmp_path / "training.svg").read_text()


def test_the_report_has_the_numbers_of_eval(command: Command, small: str, tmp_path: Path) -> None:
    done = command("visualize", "report", small, "-o", "out/report.html", "--json", *CPU)
    assert done.code == 0, done.stderr
    assert follows("visualize-report", done.document)
    evaluated = command("eval", small, "--json", *CPU).document
    assert done.document["protocols"] == evaluated["protocols"]
    assert done.document["classes"] == len(SEEN) + len(UNSEEN)
    page = (tmp_path / "out" / "report.html").read_text()
    assert done.document["bytes"] == len(page.encode())
    row = page.partition('<tr class="row-zsl">')[2]
    assert f"{evaluated['protocols']['zsl']['T1']:.1f}" in row[:600]


def test_the_report_of_a_run_is_in_its_folder_unless_another_is_given(
    command: Command, small: str, tmp_path: Path
) -> None:
    done = command("visualize", "report", small, *CPU)
    assert done.code == 0, done.stderr
    assert done.stdout.startswith("runs/small/first/report.html: 8 classes")
    assert (tmp_path / "runs/small/first/report.html").exists()


def test_a_development_run_is_reported_on_its_fold(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    trained = command("train", str(shared_folder), *tiny, "--fold", "1")
    assert trained.code == 0, trained.stderr
    done = command("visualize", "report", str(shared_folder), "-o", "fold.html", *CPU)
    assert done.code == 0, done.stderr
    page = (tmp_path / "fold.html").read_text()
    assert "split fold-1" in page
    assert "test images are untouched" in page
    assert all(name not in page.replace("<wbr>", "") for name in UNSEEN)


def test_a_run_that_selects_no_patches_is_reported_without_them(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    baseline = ("--set", "method.passes=source", "--set", "method.head=class-token")
    trained = command("train", str(shared_folder), *tiny, *baseline)
    assert trained.code == 0, trained.stderr
    done = command("visualize", "report", str(shared_folder), "-o", "baseline.html", *CPU)
    assert done.code == 0, done.stderr
    page = (tmp_path / "baseline.html").read_text()
    assert "This run selects no patches" in page
    assert "related windows" not in page
    assert "Classified correctly" in page or "Misclassified" in page


@pytest.fixture
def compared(command: Command, small: str, other: Path, tmp_path: Path) -> tuple[dict[str, object], str]:
    done = command("visualize", "compare", "first", "small/second", "-o", "both.html", "--json", *CPU)
    assert done.code == 0, done.stderr
    assert follows("visualize-compare", done.document)
    return done.document, (tmp_path / "both.html").read_text()


def test_runs_are_compared_side_by_side_with_their_differences(
    compared: tuple[dict[str, object], str], command: Command, small: str
) -> None:
    document, page = compared
    assert document["configuration"] == {"seed": ["0", "5"]}
    one, two = (command("eval", small, "--run", run, "--json", *CPU).document for run in ("first", "second"))
    assert document["rows"]
    for row in document["rows"]:  # type: ignore[attr-defined]
        figure = "value" if row["figure"] == "area" else row["figure"]
        values = [found["protocols"][row["protocol"]][figure] for found in (one, two)]
        assert row["values"] == pytest.approx(values)
        assert row["differences"] == [None, pytest.approx(values[1] - values[0])]
        if row["protocol"] != "reference":
            low, high = row["intervals"][1]
            assert low - 1e-9 <= values[1] - values[0] <= high + 1e-9
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


@needs_browser
def test_a_browser_opens_the_comparison_without_an_error(
    compared: tuple[dict[str, object], str], tmp_path: Path
) -> None:
    found = opened(tmp_path / "both.html", tmp_path)
    assert found.console == []
    assert "Protocols side by side" in found.document


def test_runs_that_cannot_be_compared_are_refused(command: Command, small: str, other: Path, tmp_path: Path) -> None:
    assert_refused(command("visualize", "compare", "first"), ExitCode.USAGE, "a comparison needs at least two runs")
    assert_refused(command("visualize", "compare", "first", "first"), ExitCode.USAGE, "given twice")
    config = other / "config.toml"
    rewrite(config, config.read_text().replace("[train]", "[train]\nfold = 1"))
    assert_refused(command("visualize", "compare", "first", "second"), ExitCode.USAGE, "different folds")
    assert_refused(command("visualize", "compare", "first", "secon"), ExitCode.DATA, "second")


def test_unsupported_file_formats_are_refused_before_anything_is_computed(
    command: Command, small: str, tmp_path: Path
) -> None:
    assert_refused(command("visualize", "report", small, "-o", "report.pdf"), ExitCode.USAGE, "HTML")
    assert_refused(command("visualize", "curves", small, "-o", "curves.jpg"), ExitCode.USAGE, "PNG or SVG")
    done = command("visualize", "embedding", small, "--class", "seen_z", *CPU)
    assert_refused(done, ExitCode.USAGE, "seen_")
    (tmp_path / "runs/small/first/metrics.jsonl").unlink()
    assert_refused(command("visualize", "curves", small, "--training"), ExitCode.DATA, "no records")
    (tmp_path / "runs/small/first/environment.json").write_text("{")
    done = command("visualize", "report", small, *CPU)
    assert done.code == ExitCode.DATA
    assert "environment.json is damaged" in done.stderr


def test_training_records_the_origin_of_each_setting(trained: Path) -> None:
    origins = json.loads((trained / "origins.json").read_text())
    assert origins["model.backbone"] == "flag"
    assert origins["dataset"] == "flag"
    assert origins["optim.lr"].startswith("preset")
