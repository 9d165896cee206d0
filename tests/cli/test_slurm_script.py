"""Test the Slurm script of docs/training.md unchanged, with stubs for svipctl and scontrol."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import ROOT

pytestmark = pytest.mark.slow

ENDS = "import sys; sys.exit({code})"
IS_PREEMPTED = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit({code}))
os.kill(os.getppid(), signal.SIGUSR1)  # as the scheduler sends it to the script
while True:
    signal.pause()
"""
IS_KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def program(folder: Path, name: str, code: str) -> None:
    (folder / name).write_text(f"#!{sys.executable}\n{code}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("training", "code", "requeued"),
    [
        (ENDS.format(code=0), 0, False),
        (ENDS.format(code=3), 3, False),
        (ENDS.format(code=75), 75, True),
        (IS_PREEMPTED.format(code=75), 75, True),
        (IS_PREEMPTED.format(code=0), 0, False),
        (IS_KILLED, 137, False),
    ],
    ids=["done", "fails", "saved", "preempted", "done when the signal comes", "killed"],
)
def test_the_job_ends_as_training_does_and_is_requeued_if_its_state_is_saved(
    training: str, code: int, requeued: bool, tmp_path: Path
) -> None:
    script = re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "docs" / "training.md").read_text(), re.DOTALL)
    assert script is not None
    program(tmp_path, "svipctl", training)
    program(tmp_path, "scontrol", "import sys; open('requeued', 'w').write(' '.join(sys.argv[1:]))")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ("bash", "-c", script[1]),
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "SLURM_JOB_ID": "17"},
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 17"
