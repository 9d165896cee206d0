"""One run by several processes: the same numbers, whoever starts them; stopped, resumed and failing as one."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.processes import clean_environment, fresh
from tests.training.test_resume import CLOCK, signal_at_update

# 36 images: 8 batches of 4 (5 % 2 == 1), so that shares differ in size
ARGUMENTS = ("--precision", "fp32", "--epochs", "2", "--batch-size", "5", "--set", "train.drop_last=false")
RUN = Path("runs/small/one")


def figures(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl without what the clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


def assert_equal(ones: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """To float tolerance: the order in which gradients are added differs."""
    assert len(ones) == len(others)
    for one, other in zip(ones, others):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def alone(shared_folder: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = fresh("train", str(shared_folder), *tiny, *ARGUMENTS, "--name", "one", cwd=folder)
    assert done.code == 0, done.stderr
    return folder


def test_two_processes_train_what_one_does_and_print_once(
    alone: Path, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--gpu", "cpu,cpu", "--name", "one", "--json")
    done = fresh(*arguments, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.document["run"] == str(RUN)
    assert "2 processes" in done.stderr
    assert done.stderr.count("training small") == 1
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_torchrun_is_joined_rather_than_started_again(
    alone: Path, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "svipctl")
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--gpu", "cpu,cpu", "--name", "one")
    subprocess.run(
        (*torchrun, *arguments), cwd=tmp_path, env=clean_environment(), check=True, capture_output=True, timeout=300
    )
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_slurms_processes_find_each_other(
    alone: Path, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--gpu", "cpu", "--name", "one")
    slurm = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": str(os.getpid())}
    both = [
        subprocess.Popen(
            (sys.executable, "-m", "svipctl", *arguments),
            cwd=tmp_path,
            env=clean_environment(**slurm, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    (first, _), (second, errors) = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert "done:" in first
    assert second == errors == ""
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_evaluation_shared_by_two_processes_is_the_whole_without_duplicates(alone: Path, shared_folder: Path) -> None:
    whole = fresh("eval", str(shared_folder), "--run", "one", "--gpu", "cpu", "--json", cwd=alone)
    shared = fresh("eval", str(shared_folder), "--run", "one", "--gpu", "cpu,cpu", "--json", cwd=alone)
    assert whole.code == shared.code == 0, shared.stderr
    assert shared.document["images"] == whole.document["images"]
    assert shared.document["protocols"] == pytest.approx(whole.document["protocols"])


def test_a_run_goes_on_with_two_processes_and_with_one_again(
    alone: Path, command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--name", "one", "--set", "train.save_every=0")
    stopped = command(*arguments, first=functools.partial(signal_at_update, 3, signal.SIGTERM))
    assert stopped.code == 75, stopped.stderr
    two = fresh(*arguments, "--resume", "auto", "--gpu", "cpu,cpu", cwd=tmp_path, environment={STOP_AT: "10"})
    assert two.code == 75, two.stderr
    assert two.stderr.count("error:") == 1
    one = command(*arguments, "--resume", "auto")
    assert one.code == 0, one.stderr
    assert "epoch 2" in one.stderr
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_what_is_wrong_for_all_is_said_once(shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ("train", str(shared_folder), *tiny, "--gpu", "cpu,cpu,cpu", "--batch-size", "2")
    done = fresh(*arguments, cwd=tmp_path)
    assert done.code == 2, done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
