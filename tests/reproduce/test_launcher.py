"""Test commands of a plan as processes of this machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from svipctl.reproduce.launcher import LocalLauncher
from tests.reproduce.cases import plan_of

# It prints the GPU that it sees, and ends when all have started.
PROGRAM = """
import os, pathlib, time
print(os.environ["CUDA_VISIBLE_DEVICES"])
pathlib.Path("begun", str(os.getpid())).touch()
while len(os.listdir("begun")) < 3:
    time.sleep(0.01)
"""


def test_commands_that_run_in_parallel_divide_the_gpus_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "svipctl").mkdir()
    (tmp_path / "svipctl" / "__init__.py").touch()
    (tmp_path / "svipctl" / "__main__.py").write_text(PROGRAM)
    (tmp_path / "begun").mkdir()
    steps = plan_of(tmp_path / "runs", seeds=1).steps[:3]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    launcher = LocalLauncher(3, gpus=["4", "7"])
    monkeypatch.chdir(tmp_path)
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(launcher.run, steps, logs)) == [0, 0, 0]
    assert sorted(log.read_text().strip() for log in logs) == ["4", "4", "7"]
