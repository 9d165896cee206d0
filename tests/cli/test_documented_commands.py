"""Run every command that README and docs/ show for copying, or list why a test cannot run it.

A command within a sentence is parsed, with its flags and settings, and also run if it needs neither data nor a run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from svipctl.cli._output import sink
from svipctl.datasets.toybirds.generate import ToybirdsPlan, draw_all, is_drawn
from tests.cli.documented import DOCUMENTS, GENERATED, Line, lines_of, problem_of
from tests.cli.program import ROOT
from tests.cli.test_help import EXAMPLES
from tests.processes import clean_environment

pytestmark = pytest.mark.slow

NEEDS = {
    r"^make (test|lint|types|site)\b": "an installation; .ci/run calls them",
    r"^make demo\b": "an installation; the commands that it then runs are README's and run here",
    r"^make help\b": "the Makefile, and is run below",
    r"^source ": "the environment that `make demo` made",
    r"^pip install ": "a package registry",
    r"^svipctl data fetch ": "the network; tests/cli/test_data_fetch.py fetches from a server of its own",
    r"^svipctl (train|eval|baseline|embed|predict|export|reproduce|visualize \w+|w2v \w+|data pack) (cub|awa2|sun|cub50)\b": "data",
    r"--gpu \d": "a GPU",
    r"^svipctl reproduce (?!.*--dry-run)": "hours; tests/cli/test_reproduce.py runs a small table",
    r"^(srun|torchrun|sbatch) ": "a cluster",
}
QUICK = {
    "SVIPCTL_TRAIN__EPOCHS": "1",
    "SVIPCTL_OPTIM__WARMUP_EPOCHS": "0",
    "SVIPCTL_MODEL__BACKBONE": "vit_toy",  # the default of an own data set needs pretrained weights
    "SVIPCTL_MODEL__WEIGHTS": "none",
    "SVIPCTL_MODEL__BACKBONE_ARGS": "{depth = 1}",
    "SVIPCTL_EVAL__BOOTSTRAP": "20",
    "SVIPCTL_DATA__WORKERS": "0",
}
SECONDS = 600  # of one command on a busy machine


def reason_of(line: Line) -> str:
    """Return what a command needs that a test does not have; empty for one that is run."""
    return next((reason for pattern, reason in NEEDS.items() if re.search(pattern, line.text)), "")


def run_lines(document: str) -> list[Line]:
    return [line for line in lines_of(document) if (line.is_typed or is_light(line)) and not reason_of(line)]


def is_light(line: Line) -> bool:
    """Return whether a command within a sentence needs neither data nor a run, and has no placeholder."""
    return bool(re.match(r"svipctl (config|doctor) (?!.*\b[A-Z]{2})", line.text)) and bool(line.words[1:])


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.fast
def test_no_document_names_a_missing_flag_or_setting(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("json", "quiet", "debug"):
        monkeypatch.setattr(sink, flag, False)  # parsing sets them
    wrong = [f"{line}\n  {problem}" for line in lines_of(document) if line.words and (problem := problem_of(line))]
    assert wrong == [], "\n".join(wrong)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the built-in benchmark with a tenth of its images and the stamp of all, so that it counts as complete."""
    folder = tmp_path_factory.mktemp("data")
    draw_all(folder / "toybirds", ToybirdsPlan(train=6, test_seen=2, test_unseen=3))
    (stamp,) = (folder / "toybirds").glob("*.json")
    stamp.write_text(json.dumps(ToybirdsPlan().stamp))
    assert is_drawn(folder / "toybirds", ToybirdsPlan())
    return folder


@pytest.fixture
def shell(tmp_path: Path, shared_folder: Path, drawn: Path) -> dict[str, str]:
    """Return the environment of a working folder with the documented data, a home, and a `svipctl` on the path."""
    programs, home = tmp_path / "programs", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    (tmp_path / "here").mkdir()
    shutil.copytree(shared_folder, tmp_path / "here" / "birds")
    shutil.copytree(shared_folder / "images" / "unseen_x", tmp_path / "here" / "new-photos")
    shutil.copytree(drawn, tmp_path / "here" / "data")
    (programs / "svipctl").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m svipctl "$@"\n')
    (programs / "svipctl").chmod(0o755)
    return clean_environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", HOME=str(home), **QUICK)


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one != GENERATED and run_lines(one)])
def test_each_line_of_a_document_works_when_it_is_copied(document: str, shell: dict[str, str], tmp_path: Path) -> None:
    here = tmp_path / "here"
    for line in run_lines(document):
        done = subprocess.run(
            ["bash", "-c", line.text], cwd=here, env=shell, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"


def test_each_line_of_the_reference_is_an_example_that_test_help_runs() -> None:
    typed = [line for line in lines_of(GENERATED) if line.is_typed]
    assert len(typed) > len(EXAMPLES) / 2
    assert [str(line) for line in typed if line.text not in EXAMPLES] == []


@pytest.mark.parametrize("pattern", NEEDS)
def test_every_listed_reason_is_still_needed_by_a_document(pattern: str) -> None:
    assert any(re.search(pattern, line.text) for name in DOCUMENTS for line in lines_of(name))


@pytest.mark.fast
def test_the_makefile_does_what_the_documents_describe() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")

    def make(*words: str) -> str:
        done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = {line.split()[0] for line in make("help").splitlines()}
    named = {line.text.split()[1] for name in DOCUMENTS for line in lines_of(name) if line.text.startswith("make ")}
    assert named <= listed
    shown = {line.text.split("#")[0].strip() for line in lines_of("README.md")}
    demo = [line.partition("svipctl")[1] + line.partition("svipctl")[2] for line in make("-n", "demo").splitlines()]
    trained = [line for line in demo if line.startswith("svipctl ")]
    assert len(trained) == 2
    assert set(trained) <= shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("svipctl trian cub", "there is no command 'trian cub'"),
        ("svipctl train cub --epoch 3", "--epoch"),
        ("svipctl train cub --set optim.rate=3", "no such setting: optim.rate"),
        ("svipctl train", "DATASET"),
        ("svipctl visualize nothing toybirds", "there is no command 'nothing toybirds'"),
        ("find . | svipctl predict - --jsn | head", "--jsn"),
    ],
)
def test_a_wrong_line_is_found_and_named(text: str, said: str) -> None:
    assert said.lower() in problem_of(Line("README.md", 7, text, True)).lower()
    assert str(Line("README.md", 7, text, True)) == f"README.md:7: {text}"


def test_lines_are_found_in_blocks_and_in_sentences() -> None:
    from tests.cli.documented import _read

    rows = [
        "Say `svipctl doctor --json`, or", "```console", "$ svipctl train toybirds \\", "    --epochs 2   # two", "epoch 1",
        "```", "```sh", "# no", "srun svipctl eval cub", "```", "```text", "$ svipctl nothing", "```",
    ]  # fmt: skip
    found = list(_read("a.md", rows))
    assert [(line.number, " ".join(line.words), line.is_typed) for line in found] == [
        (1, "doctor --json", False),
        (4, "train toybirds --epochs 2", True),
        (9, "eval cub", False),
    ]


def test_the_figures_of_readme_are_those_of_the_run_of_its_script() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "demo.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
