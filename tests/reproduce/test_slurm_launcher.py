"""Test jobs through submitit, with its local executor instead of Slurm: real processes of the real program."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from svipctl.errors import ConfigError
from svipctl.reproduce.execute import execute
from svipctl.reproduce.slurm_launcher import SlurmLauncher, SubmittedStep
from svipctl.reproduce.step_state import StepState, run_of, states
from tests.reproduce.cases import Recorder, Writer, plan_of

pytest.importorskip("submitit")


@pytest.mark.slow
def test_a_job_whose_work_is_done_does_nothing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "runs", controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    execute(plan, Writer(), tmp_path / "logs", Recorder())
    launcher = SlurmLauncher(2, tmp_path / "submitit", {"timeout_min": 5, "cluster": "local"})
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    assert [launcher.run(step, tmp_path / "log") for step in plan.steps[:1]] == [0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == before


@pytest.mark.slow
def test_a_failed_job_returns_the_exit_code_and_the_output_of_its_command(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "runs", controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    lost = plan.steps[1]  # a final run whose development run does not exist
    launcher = SlurmLauncher(1, tmp_path / "submitit", {"timeout_min": 5, "cluster": "local"})
    log = tmp_path / "log"
    assert launcher.run(lost, log) == 3
    assert "there is no run 'table-svipctl-full-fold1'" in log.read_text()


def test_after_a_stop_nothing_is_submitted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "runs", controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    launcher = SlurmLauncher(1, tmp_path / "submitit", {"cluster": "local"})
    launcher.stop(15)
    assert launcher.run(plan.steps[0], tmp_path / "log") == -15
    assert not list((tmp_path / "submitit").glob("*.pkl"))


def test_a_preempted_job_is_requeued_as_the_same_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler's signal arrives while the job waits for its command, and the handler runs then."""
    plan = plan_of(tmp_path / "runs", controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    saves = tmp_path / "saves.py"
    saves.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(75))\n"
        "while True:\n"
        "    os.kill(os.getppid(), signal.SIGUSR2)\n"
        "    time.sleep(0.05)\n"
    )
    saves.chmod(0o755)
    monkeypatch.setattr("svipctl.reproduce.launcher.sys.executable", str(saves))
    job = SubmittedStep(plan.steps[0], tmp_path / "log")
    queued: list[Any] = []

    def preempted(number: int, frame: FrameType | None) -> None:
        if not queued and job.process is not None:
            queued.append(None)
            queued.append(job.checkpoint())

    before = signal.signal(signal.SIGUSR2, preempted)
    try:
        code = job()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert code == 75  # signalled, and waited for
    assert queued[1].function.step == plan.steps[0]
    assert queued[1].function.process is None


def test_an_unknown_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="submitit does not accept these parameters"):
        SlurmLauncher(1, tmp_path, {"slurm_partitoin": "gpu", "cluster": "local"})


def test_without_slurm_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    plan = plan_of(tmp_path / "runs", controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    with pytest.raises(ConfigError, match="submitit does not accept these parameters"):
        SlurmLauncher(1, tmp_path, {})
    assert states(plan)[plan.steps[0].key] is StepState.TO_DO
    assert not run_of(plan.steps[0]).folder.exists()
