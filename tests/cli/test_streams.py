"""stdout in the hands of a script: closed, a file, and a pipe whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import pages
from tests.processes import clean_environment

REAL = [
    ("config", "show", "cub", "--json"),
    ("config", "show", "cub"),
    ("completion", "zsh"),
    ("data", "status", "--json"),
]
HELP = [(*page.path.split()[1:], "--help") for page in pages()]


def run(arguments: tuple[str, ...], cwd: Path, *, stdout: int, closed: bool = False) -> tuple[int, str]:
    command = [sys.executable, "-m", "svipctl", *arguments]
    before = (lambda: os.close(1)) if closed else None
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(), stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120,
        preexec_fn=before,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [*REAL, *HELP], ids=" ".join)
def test_a_reader_that_has_gone_is_no_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code, said = run(arguments, tmp_path, stdout=writer)
    os.close(writer)
    assert (code, said) == (1, "")


@pytest.mark.parametrize("arguments", [*REAL, ("--help",), ("train", "--help")], ids=" ".join)
def test_a_closed_stdout_changes_nothing_but_what_is_seen(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code, said = run(arguments, tmp_path, stdout=subprocess.DEVNULL, closed=True)
    assert (code, said) == (0, "")


@pytest.mark.parametrize("arguments", REAL, ids=" ".join)
def test_a_file_gets_the_data_and_nothing_else(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        code, said = run(arguments, tmp_path, stdout=file.fileno())
    assert (code, said) == (0, "")
    text = (tmp_path / "out").read_text()
    assert text.endswith("\n")
    assert "\033" not in text
