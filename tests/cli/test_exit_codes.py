"""Test that a real process returns each code in the table of docs/exit-codes.md."""

from __future__ import annotations

import functools
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from svipctl.errors import ExitCode
from tests.cli.program import ROOT
from tests.faults import limit_files
from tests.processes import clean_environment, fresh

TABLE = dict(re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs" / "exit-codes.md").read_text(), re.MULTILINE))


def test_the_table_has_the_codes_of_the_program_and_no_other() -> None:
    assert {int(code) for code in TABLE} == {int(code) for code in ExitCode}


@pytest.mark.parametrize("document", ["README.md", "docs/cli.md"])
def test_the_reference_of_the_command_line_points_to_the_table(document: str) -> None:
    assert "exit-codes.md" in (ROOT / document).read_text()


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (ExitCode.DONE, ("config", "show", "cub")),
        (ExitCode.USAGE, ("train", "cub", "--epochs", "many")),
        pytest.param(ExitCode.USAGE, ("train", "cub", "--set", "optim.rate=1"), marks=pytest.mark.slow),
        (ExitCode.DATA, ("train", "cub", "--gpu", "cpu")),
        pytest.param(ExitCode.DATA, ("eval", "cub", "--gpu", "cpu"), marks=pytest.mark.slow),
        (ExitCode.NETWORK, ("data", "fetch", "cub", "--offline")),
    ],
    ids=lambda one: str(int(one)) if isinstance(one, int) else " ".join(one),
)
def test_a_code_without_a_run_is_returned(code: ExitCode, arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = fresh(*arguments, cwd=tmp_path)
    assert done.code == code, done.stderr
    assert done.stderr.startswith("error: ") == (code != ExitCode.DONE)


def test_a_failed_check_is_1(trained_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture\n")
    done = fresh("predict", "notes.jpg", "--run", "first", "--gpu", "cpu", cwd=tmp_path)
    assert done.code == ExitCode.CHECK_FAILED, done.stderr
    assert "error: 1 of 1 images could not be read" in done.stderr


def process(arguments: tuple[str, ...], cwd: Path, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "svipctl", *arguments], cwd=cwd, env=clean_environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=before,
    )  # fmt: skip


def test_a_full_disk_is_5(shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    running = process(("train", str(shared_folder), *tiny, "--quiet"), tmp_path, functools.partial(limit_files, 8192))
    _, said = running.communicate(timeout=300)
    assert running.returncode == ExitCode.RESOURCES, said
    assert said.startswith("error: no space left")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, ExitCode.INTERRUPTED),
        pytest.param(signal.SIGUSR1, ExitCode.INTERRUPTED, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, ExitCode.CTRL_C, marks=pytest.mark.slow),
    ],
    ids=lambda one: one.name if isinstance(one, signal.Signals) else "",
)
def test_a_signal_saves_the_state_and_has_its_code(
    number: signal.Signals, code: ExitCode, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    running = process(("train", str(shared_folder), *tiny, "--epochs", "500", "--name", "cut"), tmp_path)
    assert running.stderr is not None
    said = ""
    for line in running.stderr:
        said += line
        if line.startswith("epoch 1/"):
            running.send_signal(number)
            break
    rest = running.communicate(timeout=300)[1]
    assert running.returncode == code, said + rest
    assert "Traceback" not in rest
    assert (tmp_path / "runs" / "small" / "cut" / "checkpoints" / "last" / "training.pt").exists()
    assert not (tmp_path / "runs" / "small" / "cut" / "finished.json").exists()


@pytest.mark.slow
def test_ctrl_c_without_a_state_to_save_is_reported(trained_copy: Path, tmp_path: Path) -> None:
    running = process(("predict", "-", "--run", str(trained_copy), "--gpu", "cpu", "--json"), tmp_path)
    assert running.stderr is not None
    said = running.stderr.readline()  # the run is loaded, and the program waits for the names of images
    running.send_signal(signal.SIGINT)
    told, rest = running.communicate(timeout=300)
    assert running.returncode == ExitCode.CTRL_C, said + rest
    assert "Traceback" not in said + rest
    assert "stopped by Ctrl-C" in told + rest


_ABORTS_AT_SHUTDOWN = """
import atexit, os
from svipctl.cli import _main

class Library:
    def __del__(self):
        os.abort()

def answer(stop):
    atexit.register(print, "the library wrote its files", end="")
    return 3

library = Library()
_main.answer = answer
_main.main()
"""


def test_a_library_that_aborts_in_pythons_shutdown_does_not_change_the_code(tmp_path: Path) -> None:
    """Threads of torch's process groups do, rarely; what libraries register for the exit is run before."""
    command = [sys.executable, "-c", _ABORTS_AT_SHUTDOWN]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.DATA, "the library wrote its files", "")
