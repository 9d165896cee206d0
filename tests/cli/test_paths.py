"""Test every path that a command takes, in every wrong form: a SvipError and its exit code, at once."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ExitCode
from tests.cli.test_random_arguments import ARGUMENTS_OF, COMMANDS, OPTIONS_OF, here, program, reached  # noqa: F401
from tests.runs.last_release import copy_runs

pytestmark = pytest.mark.slow

Program = Callable[[list[str]], tuple[object, str, str, bool]]
NAMES_OF_PATHS = ("--run", "--weights", "--init-from", "--vectors", "--from-development", "--resume", "--name")
"""Options that take a path among other words."""
TAKEN = ("files", "datasets")
NOBODY = 65534
FORMS = {
    "too long": "x" * 300,
    "too long below": "small/" + "x" * 300,
    "deep": "a/" * 2500 + "a",
    "fifo": "fifo",
    "device": "/dev/zero",
    "folder": "birds",
    "file": "notes.txt",
    "below a file": "notes.txt/a",
    "refused": "refused",
    "below the refused": "closed/a.csv",
    "invalid bytes": "in\udcffvalid",
    "invalid bytes in a folder": "bad\udcff",
    "circle": "circle",
    "built-in name": "./toybirds",
    "leading dash": "./-x",
}


def path_options(path: tuple[str, ...]) -> list[str]:
    return sorted(name for name, takes in OPTIONS_OF[path].items() if takes == "files" or name in NAMES_OF_PATHS)


def arguments_of(path: tuple[str, ...]) -> list[str]:
    """Return a value for each argument of a command, valid enough to reach its work."""
    known = {"datasets": "small", "files": "small/images", "official": "cub"}
    return [
        known.get(str(takes), takes[0] if isinstance(takes, list) and takes else "small")
        for takes in ARGUMENTS_OF[path]
    ]


@contextmanager
def a_minute(what: str) -> Iterator[None]:
    """Make a command that waits for a pipe fail instead."""

    def late(*_: Any) -> None:
        raise AssertionError(f"{what} waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def not_root() -> Iterator[None]:
    """Drop privileges, because the system refuses nothing to root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def place(here: Path, tmp_path: Path, reached: Counter[str]) -> Path:  # noqa: F811
    """Return the working folder with a run of its data set, and a path of each form, readable for all users."""
    copy_runs(here / "runs" / "small")
    os.mkfifo(here / "fifo")
    (here / "circle").symlink_to("circle")
    (here / "refused").write_text("a,b\n")
    (here / "closed").mkdir()
    for name in ("toybirds", "-x", "bad\udcff"):
        shutil.copytree(here / "small", here / name)
    for folder in [here, *here.parents]:
        if folder.is_relative_to(tmp_path.parents[2]):
            folder.chmod(0o755)
    (here / "refused").chmod(0)
    (here / "closed").chmod(0)
    return here


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_wrong_path_of_any_form_is_a_svip_error(
    path: tuple[str, ...],
    place: Path,
    program: Program,  # noqa: F811
) -> None:
    dry = ["--dry-run"] if "--dry-run" in OPTIONS_OF[path] else []
    plain = arguments_of(path)
    lists = [[*path, *plain, *dry, name, value] for name in path_options(path) for value in FORMS.values()]
    lists += [
        [*path, *plain[:position], value, *plain[position + 1 :], *dry]
        for position, takes in enumerate(ARGUMENTS_OF[path])
        if takes in TAKEN
        for value in FORMS.values()
    ]
    for arguments in lists:
        for masked in (False, True):
            with a_minute(repr(arguments)), not_root() if masked else a_minute(repr(arguments)):
                code, _, said, _ = program(arguments)
            assert code in set(ExitCode), (arguments, code)
            assert "unexpected" not in said, (arguments, said)
            assert "Traceback" not in said, (arguments, said)
