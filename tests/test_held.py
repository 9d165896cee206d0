"""A folder that somebody works in, and what becomes of the lock when he is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from svipctl.errors import ConfigError
from svipctl.held import held, is_held


def test_a_second_one_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(ConfigError, match="another process is at work"), held(tmp_path):
            pass
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    program = "import sys, pathlib\nfrom svipctl.held import held\nwith held(pathlib.Path(sys.argv[1])):\n print(1, flush=True)\n sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    assert is_held(tmp_path)
    process.kill()
    process.communicate()
    assert not is_held(tmp_path)


def test_a_folder_that_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "nothing")
