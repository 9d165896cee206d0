"""Test a run by several processes: the same numbers under any launcher; stopped, resumed and failing together."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.processes import Finished, clean_environment, fresh
from tests.training.test_resume import CLOCK, signal_at_update

pytestmark = pytest.mark.slow

# 36 images: 8 batches of 4 (5 % 2 == 1), so that shares differ in size
ARGUMENTS = ("--precision", "fp32", "--epochs", "2", "--batch-size", "5", "--set", "train.drop_last=false")
RUN = Path("runs/small/one")


def figures(folder: Path) -> list[dict[str, float]]:
    """Return the lines of metrics.jsonl without clock figures."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


def assert_equal(ones: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Compare with float tolerance: the order in which gradients are added differs."""
    assert len(ones) == len(others)
    for one, other in zip(ones, others):
        assert one.keys() == other.keys()
        for key, value in one.items():
            if isinstance(value, dict):
                assert_equal([value], [other[key]])
            else:
                is_number = isinstance(value, float)
                assert value == (pytest.approx(other[key], rel=1e-4, abs=1e-5) if is_number else other[key]), key


def stopped_at(update: int) -> None:
    """Run the program, in which a process that is not the first receives SIGTERM during an update."""
    if os.environ["RANK"] != "0":
        signal_at_update(update, signal.SIGTERM)
    from svipctl.cli._main import main

    main()


def failing_at(update: int) -> None:
    """Run the program, in which the second process raises an error during an update."""
    from svipctl.training.optimisation import Optimisation

    original, count = Optimisation.apply, [0]

    def apply(self: Optimisation, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] == update and os.environ["RANK"] == "1":
            raise OSError(5, "Input/output error")
        return original(self, *arguments)

    Optimisation.apply = apply  # type: ignore[method-assign]
    from svipctl.cli._main import main

    main()


@pytest.fixture(scope="module")
def alone(shared_folder: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = fresh("train", str(shared_folder), *tiny, *ARGUMENTS, "--name", "one", cwd=folder)
    assert done.code == 0, done.stderr
    return folder


@pytest.mark.fast
def test_two_processes_train_the_same_run_as_one_and_print_once(
    alone: Path, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--gpu", "cpu,cpu", "--name", "one", "--json")
    done = fresh(*arguments, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.document["run"] == str(RUN)
    assert "2 processes" in done.stderr
    assert done.stderr.count("training small") == 1
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_the_random_control_draws_the_same_with_any_number_of_processes(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--set", "method.selection=random")
    alone = command(*arguments, "--name", "alone")
    assert alone.code == 0, alone.stderr
    shared = fresh(*arguments, "--name", "one", "--gpu", "cpu,cpu", cwd=tmp_path)
    assert shared.code == 0, shared.stderr
    assert_equal(figures(tmp_path / RUN), figures(tmp_path / RUN.with_name("alone")))


def test_torchrun_is_joined_rather_than_started_again(
    alone: Path, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "svipctl")
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--gpu", "cpu,cpu", "--name", "one")
    subprocess.run(
        (*torchrun, *arguments), cwd=tmp_path, env=clean_environment(), check=True, capture_output=True, timeout=300
    )
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def both(*command: str, cwd: Path, environments: Sequence[dict[str, str]]) -> list[Finished]:
    """Run the same command as two processes that an outside launcher started."""
    processes = [
        subprocess.Popen(
            (sys.executable, *command),
            cwd=cwd,
            env=clean_environment(PYTHONPATH=os.pathsep.join(sys.path), **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    return [Finished(process.returncode, *output) for process, output in zip(processes, outputs)]


def test_slurms_processes_find_each_other(
    alone: Path, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--gpu", "cpu", "--name", "one")
    slurm = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": str(os.getpid())}
    environments = [slurm | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in "01"]
    first, second = both("-m", "svipctl", *arguments, cwd=tmp_path, environments=environments)
    assert (first.code, second.code) == (0, 0), second.stderr
    assert "done:" in first.stdout
    assert second.stdout == second.stderr == ""
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_evaluation_shared_by_two_processes_is_complete_without_duplicates(alone: Path, masked_folder: Path) -> None:
    whole = fresh("eval", str(masked_folder), "--run", "one", "--gpu", "cpu", "--json", cwd=alone)
    shared = fresh("eval", str(masked_folder), "--run", "one", "--gpu", "cpu,cpu", "--json", cwd=alone)
    assert whole.code == shared.code == 0, shared.stderr
    assert shared.document["images"] == whole.document["images"]
    assert whole.document["localisation"]["object"]["peaks"] == 40
    for part in ("protocols", "selection", "localisation"):
        assert_equal([shared.document[part]], [whole.document[part]])


def test_a_run_resumes_with_two_processes_and_then_with_one(
    alone: Path, command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--name", "one", "--set", "train.save_every=0")
    stopped = command(*arguments, first=functools.partial(signal_at_update, 3, signal.SIGTERM))
    assert stopped.code == 75, stopped.stderr
    # the signal reaches the second process only
    program = "from tests.cli.test_many_processes import stopped_at; stopped_at(10)"
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    torchrun = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    environments = [torchrun | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    first, second = both("-c", program, *arguments, "--resume", "auto", cwd=tmp_path, environments=environments)
    assert (first.code, second.code) == (75, 75), first.stderr
    assert "error: stopped by SIGTERM" in first.stderr
    assert second.stderr == ""
    one = command(*arguments, "--resume", "auto")
    assert one.code == 0, one.stderr
    assert "epoch 2" in one.stderr
    assert_equal(figures(tmp_path / RUN), figures(alone / RUN))


def test_one_process_that_fails_ends_the_others(shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, "--name", "one")
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    torchrun = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    environments = [torchrun | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    program = "from tests.cli.test_many_processes import failing_at; failing_at(3)"
    first, second = both("-c", program, *arguments, cwd=tmp_path, environments=environments)
    assert first.code == 1
    assert "error: another process of this run ended" in first.stderr
    assert second.code != 0
    assert "Input/output error" in second.stderr


def left_by_a_shell(**variables: str) -> None:
    """In the forked process: keep variables of a launcher set."""
    os.environ.update(variables)


def test_leftover_launcher_variables_are_ignored_with_standalone(
    command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    kept = functools.partial(left_by_a_shell, SLURM_PROCID="1", SLURM_STEP_NUM_TASKS="4")
    done = command("train", str(shared_folder), *tiny, "--standalone", first=kept)
    assert done.code == 0, done.stderr


def test_an_invalid_variable_is_an_error_that_names_it(
    command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    odd = functools.partial(left_by_a_shell, RANK="two", WORLD_SIZE="4")
    done = command("train", str(shared_folder), *tiny, first=odd)
    assert done.code == 2
    assert "error: the environment variable" in done.stderr
    assert "--standalone" in done.stderr


def test_an_error_common_to_all_processes_is_printed_once(
    shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("train", str(shared_folder), *tiny, "--gpu", "cpu,cpu,cpu", "--batch-size", "2")
    done = fresh(*arguments, cwd=tmp_path)
    assert done.code == 2, done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr


def test_a_signal_to_the_launcher_is_passed_on(shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ("train", str(shared_folder), *tiny, "--epochs", "500", "--gpu", "cpu,cpu", "--name", "one")
    with subprocess.Popen(
        (sys.executable, "-m", "svipctl", *arguments),
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as launcher:
        assert launcher.stderr is not None
        for line in launcher.stderr:
            if line.startswith("epoch"):
                break
        launcher.send_signal(signal.SIGUSR1)
        _, rest = launcher.communicate(timeout=120)
    assert launcher.returncode == 75, rest
    assert "error: stopped by SIGTERM" in rest
    assert "death signal" not in rest  # torch's own words for it
    assert (tmp_path / RUN / "checkpoints" / "last" / "model.safetensors").exists()
