"""Test that a run that is killed or stopped and resumed ends bit-identical to an uninterrupted one."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from svipctl.files import file_lock
from svipctl.inference.load import load_checkpoint
from tests.conftest import Command
from tests.faults import limit_files, refuse_changes
from tests.runs.made import rewrite_configuration

pytestmark = pytest.mark.slow

EPOCHS, STEPS = 2, 9
CLOCK = {"seconds", "images_per_second", "data_wait", "peak_memory_mib"}
RUN = Path("runs/small/one")
ARGUMENTS = ("--epochs", str(EPOCHS), "--name", "one", "--precision", "fp32", "--set", "train.save_every=0")
ONE_WARMUP_EPOCH = ("--set", "optim.warmup_epochs=1", "--set", "optim.warmup_backbone=accumulate")


def signal_at_update(number: int, name: signal.Signals, *, to_all: bool = False) -> None:
    """In the forked process: receive a signal while the parameters are updated for the `number`-th time.

    `to_all` sends it to the data workers too, as a terminal does with Ctrl-C and Slurm with its signals.
    """
    from svipctl.training.optimisation import Optimisation

    original, count = Optimisation.apply, [0]
    if to_all:
        os.setpgid(0, 0)

    def apply(self: Optimisation, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] == number:
            (os.killpg if to_all else os.kill)(os.getpid(), name)
        return original(self, *arguments)

    Optimisation.apply = apply  # type: ignore[method-assign]


def signal_at_fsync(name: signal.Signals, target: str, number: int = 1) -> None:
    """In the forked process: receive a signal before a file or folder is written to the disk.

    Args:
        name: The signal.
        target: End of the path of the file or folder.
        number: Number of the sync of this target at which to send it, from 1.

    """
    original, count = os.fsync, [0]

    def fsync(file: int) -> None:
        count[0] += Path(f"/proc/self/fd/{file}").readlink().as_posix().endswith(target)
        if count[0] == number:
            count[0] += 1
            os.kill(os.getpid(), name)
        original(file)

    os.fsync = fsync  # type: ignore[assignment]


def result(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Return the metrics without clock figures, and the weights of both checkpoints."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    table = (folder / "metrics.csv").read_text().splitlines()
    assert len(table) == len(lines) + 1
    weights = {name: (folder / "checkpoints" / name / "model.safetensors").read_bytes() for name in ("last", "best")}
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines], weights


@pytest.fixture(scope="module")
def whole(
    shared_folder: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Return the result of the uninterrupted run."""
    from tests.processes import forked

    folder = tmp_path_factory.mktemp("whole")
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    done = forked(*arguments, cwd=folder, streams=folder / ".streams")
    assert done.code == 0, done.stderr
    return result(folder / RUN)


@pytest.mark.parametrize("step", [2, 3, 5, 7, pytest.param(9, marks=pytest.mark.fast), 10, 11, 14, 16, 18])
def test_killed_at_a_step_and_resumed_is_bit_identical(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, step: int
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    killed = command(*arguments, first=functools.partial(signal_at_update, step, signal.SIGKILL))
    assert killed.code == -signal.SIGKILL
    resumed = command(*arguments, "--resume", "auto")
    assert resumed.code == 0, resumed.stderr
    assert f"resuming one at epoch {1 + (step - 1) // STEPS}" in resumed.stderr
    assert result(tmp_path / RUN) == whole


def test_a_run_killed_epochs_after_its_last_save_repeats_them_when_resumed(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH, "--epochs", "4")
    arguments = (*arguments, "--set", "train.save_every=60")
    killed = command(*arguments, first=functools.partial(signal_at_update, 3 * STEPS + 2, signal.SIGKILL))
    assert killed.code == -signal.SIGKILL
    assert len((tmp_path / RUN / "metrics.jsonl").read_text().splitlines()) == 3
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "resuming one at epoch 2, step 1" in resumed.stderr
    interrupted = result(tmp_path / RUN)
    uninterrupted = command(*arguments, "--runs-dir", "other")
    assert uninterrupted.code == 0, uninterrupted.stderr
    assert interrupted == result(tmp_path / "other" / Path(*RUN.parts[1:]))


@pytest.mark.parametrize("name", [pytest.param(signal.SIGTERM, marks=pytest.mark.fast), signal.SIGUSR1, signal.SIGINT])
def test_a_signal_is_handled_within_a_step_and_the_state_saved(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, name: signal.Signals
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH, "--set", "train.save_every=60")
    stopped = command(*arguments, first=functools.partial(signal_at_update, 4, name))
    assert stopped.code == (130 if name is signal.SIGINT else 75)
    assert "  one is saved after step 4 of epoch 1\n  next: run the same command with --resume" in stopped.stderr
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "resuming one at epoch 1, step 5" in resumed.stderr
    assert result(tmp_path / RUN) == whole


def interrupt_twice_at_update(number: int) -> None:
    """In the forked process: press Ctrl-C twice while the parameters are updated."""
    from svipctl.training.optimisation import Optimisation

    original, count = Optimisation.apply, [0]

    def apply(self: Optimisation, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    Optimisation.apply = apply  # type: ignore[method-assign]


def test_a_second_ctrl_c_stops_at_once_and_the_run_resumes_from_the_previous_checkpoint(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH, "--set", "train.save_every=60")
    stopped = command(*arguments, first=functools.partial(interrupt_twice_at_update, 12))
    assert stopped.code == 130
    assert "Traceback" not in stopped.stderr
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "resuming one at epoch 2, step 1" in resumed.stderr, "nothing was saved after the first epoch"
    assert result(tmp_path / RUN) == whole


BEFORE_THE_FIRST_CHECKPOINT = [
    (".config.toml.part", 1),
    (".environment.json.part", 1),
    (".origins.json.part", 1),
    (".last.new/.model.safetensors.part", 1),
    (".last.new/training.pt", 1),
    (".last.new", 1),
]
AFTER_THE_FIRST_CHECKPOINT = [
    ("one/checkpoints", 1),
    (".last.new/.model.safetensors.part", 2),
    (".last.new/training.pt", 2),
    (".last.new/.metadata.json.part", 9),
    ("metrics.jsonl", 1),
    (".last.new/.model.safetensors.part", 10),
    (".best.new/.metadata.json.part", 1),
    (".best.new", 1),
    ("metrics.jsonl", 2),
    (".finished.json.part", 1),
]


@pytest.mark.parametrize("moment", [*BEFORE_THE_FIRST_CHECKPOINT, *AFTER_THE_FIRST_CHECKPOINT], ids=str)
def test_a_kill_while_starting_or_saving_loses_at_most_one_step(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, moment: tuple[str, int]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    killed = command(*arguments, first=functools.partial(signal_at_fsync, signal.SIGKILL, *moment))
    assert killed.code == -signal.SIGKILL
    assert (tmp_path / RUN).exists()
    resumed = command(*arguments, "--resume", "auto")
    assert resumed.code == 0, resumed.stderr
    assert ("it starts again" in resumed.stderr) == (moment in BEFORE_THE_FIRST_CHECKPOINT)
    assert result(tmp_path / RUN) == whole


def test_a_folder_that_is_not_a_run_is_never_replaced(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "notes.txt").write_text("mine")
    refused = command("train", str(shared_folder), *tiny, *ARGUMENTS, "--resume", "auto")
    assert refused.code == 2
    assert "already exists" in refused.stderr
    assert (tmp_path / RUN / "notes.txt").read_text() == "mine"


def signal_before_the_second_rename(number: int, names: Sequence[signal.Signals]) -> None:
    """In the forked process: receive signals in the `number`-th save, between its two renames."""
    original, count = Path.rename, [0]

    def rename(self: Path, target: Path) -> Path:
        count[0] += self.name == ".last.new"
        if self.name == ".last.new" and count[0] == number:
            for name in names:
                os.kill(os.getpid(), name)
        return original(self, target)

    Path.rename = rename  # type: ignore[method-assign]


@pytest.mark.parametrize("names", [(signal.SIGKILL,), (signal.SIGINT, signal.SIGINT)], ids=["kill", "ctrl-c-twice"])
def test_after_a_kill_between_the_two_renames_of_a_save_the_run_resumes_from_the_older_state(
    command: Command,
    tmp_path: Path,
    shared_folder: Path,
    tiny: tuple[str, ...],
    whole: Any,
    names: tuple[signal.Signals, ...],
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    killed = command(*arguments, first=functools.partial(signal_before_the_second_rename, 12, names))
    assert killed.code == (-signal.SIGKILL if signal.SIGKILL in names else 130)
    assert not (tmp_path / RUN / "checkpoints" / "last").exists()
    resumed = command(*arguments, "--resume", "auto")
    assert resumed.code == 0, resumed.stderr
    assert "resuming one at epoch 2, step 3" in resumed.stderr
    assert result(tmp_path / RUN) == whole


@pytest.mark.parametrize("number", [1, 9])
def test_sigterm_while_saving_waits_for_the_save_and_loses_nothing(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, number: int
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    stopped = command(
        *arguments,
        first=functools.partial(signal_at_fsync, signal.SIGTERM, ".last.new/.model.safetensors.part", number),
    )
    assert stopped.code == 75, stopped.stderr
    assert load_checkpoint(tmp_path / RUN / "checkpoints" / "last")
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / RUN) == whole


def signal_at_prediction(name: signal.Signals, *, to_all: bool = False) -> None:
    """In the forked process: receive a signal while the second batch is predicted; `to_all` as above."""
    from svipctl.model.svip import SVIP

    original, count = SVIP.predict, [0]
    if to_all:
        os.setpgid(0, 0)

    def predict(self: SVIP, *arguments: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            (os.killpg if to_all else os.kill)(os.getpid(), name)
        return original(self, *arguments, **options)

    SVIP.predict = predict  # type: ignore[method-assign]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_in_the_evaluation_between_epochs_loses_nothing(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, name: signal.Signals
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH, "--set", "eval.batch_size=4")
    stopped = command(*arguments, first=functools.partial(signal_at_prediction, name))
    assert stopped.code == (130 if name is signal.SIGINT else 75)
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / RUN) == whole


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_eval_ends_it_with_its_exit_code(
    command: Command, shared_folder: Path, trained_copy: Path, name: signal.Signals
) -> None:
    arguments = ("eval", str(shared_folder), "--batch-size", "1", "--gpu", "cpu", "--set", "data.workers=2")
    stopped = command(*arguments, first=functools.partial(signal_at_prediction, name, to_all=True))
    assert stopped.code == (130 if name is signal.SIGINT else 75)
    assert not (trained_copy / "eval" / "metrics.json").exists()
    if name is signal.SIGTERM:
        assert "run the same command again" in stopped.stderr


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_during_decoding_is_handled_and_the_state_saved(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, name: signal.Signals
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH, "--set", "data.workers=2")
    arguments = (*arguments, "--set", "train.save_every=60")
    stopped = command(*arguments, first=functools.partial(signal_at_update, 4, name, to_all=True))
    assert stopped.code == (130 if name is signal.SIGINT else 75), stopped.stderr
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / RUN) == whole


def kill_a_worker_at_update(number: int) -> None:
    """In the forked process: kill a process that decodes images while the parameters are updated."""
    import multiprocessing

    from svipctl.training.optimisation import Optimisation

    original, count = Optimisation.apply, [0]

    def apply(self: Optimisation, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] == number:
            worker = multiprocessing.active_children()[0]
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
        return original(self, *arguments)

    Optimisation.apply = apply  # type: ignore[method-assign]


@pytest.mark.parametrize(("update", "save_every"), [(3, 0), (12, 60)])
def test_a_killed_data_worker_is_an_error_and_loses_nothing(
    command: Command,
    tmp_path: Path,
    shared_folder: Path,
    tiny: tuple[str, ...],
    whole: Any,
    update: int,
    save_every: int,
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH, "--set", "data.workers=2")
    arguments = (*arguments, "--set", f"train.save_every={save_every}")
    killed = command(*arguments, first=functools.partial(kill_a_worker_at_update, update))
    assert killed.code == 5, killed.stderr
    assert "error: a process that decodes images was killed" in killed.stderr
    assert "--resume" in killed.stderr
    assert load_checkpoint(tmp_path / RUN / "checkpoints" / "last")
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / RUN) == whole


def kill_a_worker_at_prediction() -> None:
    """In the forked process: kill a process that decodes images while the second batch is predicted."""
    import multiprocessing

    from svipctl.model.svip import SVIP

    original, count = SVIP.predict, [0]

    def predict(self: SVIP, *arguments: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            worker = multiprocessing.active_children()[0]
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
        return original(self, *arguments, **options)

    SVIP.predict = predict  # type: ignore[method-assign]


def test_a_data_worker_killed_in_eval_is_an_error(command: Command, shared_folder: Path, trained_copy: Path) -> None:
    arguments = ("eval", str(shared_folder), "--batch-size", "1", "--gpu", "cpu", "--set", "data.workers=2")
    killed = command(*arguments, first=kill_a_worker_at_prediction)
    assert killed.code == 5, killed.stderr
    assert "run the same command again" in killed.stderr
    assert not (trained_copy / "eval" / "metrics.json").exists()


@pytest.mark.parametrize("number", [19, 21])  # a file of the new state, and its name
@pytest.mark.fast
def test_a_full_disk_while_saving_is_an_error_and_loses_nothing(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, number: int
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    full = command(*arguments, first=functools.partial(refuse_changes, number, "fsync"))
    assert full.code == 5
    assert "no space left" in full.stderr
    resumed = command(*arguments, "--resume", "auto")
    assert resumed.code == 0, resumed.stderr
    assert result(tmp_path / RUN) == whole


def test_a_training_state_too_large_for_the_disk_is_an_error(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    command(*arguments, first=functools.partial(signal_at_update, 3, signal.SIGTERM))
    last = tmp_path / RUN / "checkpoints" / "last"
    sizes = {name: (last / name).stat().st_size for name in ("model.safetensors", "training.pt")}
    assert sizes["model.safetensors"] < sizes["training.pt"] - 8192
    full = command(*arguments, "--resume", first=functools.partial(limit_files, sizes["training.pt"] - 4096))
    assert full.code == 5, full.stderr
    assert "no space left" in full.stderr
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "resuming one at epoch 1, step 4" in resumed.stderr


@pytest.mark.fast
def test_a_changed_configuration_is_listed_and_refused(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    refused = command(*arguments, "--lr", "0.5", "--seed", "3", "--resume", "one")
    assert refused.code == 2
    assert "optim.lr: 3e-05 in the run, 0.5 now" in refused.stderr
    assert "seed: 0 in the run, 3 now" in refused.stderr
    resumed = command("train", str(shared_folder), "--resume", "one", "--gpu", "cpu")
    assert resumed.code == 0, "flags that are left out are the run's"
    again = command("train", str(shared_folder), "--resume", "one")
    assert again.code == 2
    assert "one is finished" in again.stderr


def without_bf16() -> None:
    """In the forked process: make the hardware multiply no bf16 matrices."""
    from svipctl import device

    device._has_bf16 = lambda _: False


def with_bf16() -> None:
    """In the forked process: make the hardware multiply bf16 matrices, and send SIGTERM in the fourth update."""
    from svipctl import device

    device._has_bf16 = lambda _: True
    signal_at_update(4, signal.SIGTERM)


def test_a_run_resumes_in_its_original_arithmetic_on_other_hardware(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, "--name", "one", "--precision", "auto")
    assert command(*arguments, first=with_bf16).code == 75
    refused = command(*arguments[:-1], "fp32", "--resume", "one")
    assert refused.code == 2
    assert "precision: bf16 in the run, fp32 now" in refused.stderr
    resumed = command(*arguments, "--resume", "auto", first=without_bf16)
    assert resumed.code == 0, resumed.stderr
    assert "bf16 on cpu" in resumed.stderr
    assert "resuming one at epoch 1, step 5" in resumed.stderr


def test_auto_starts_a_new_run_if_there_is_none_to_resume(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    started = command("train", str(shared_folder), *tiny, "--resume", "auto")
    assert started.code == 0, started.stderr
    assert "nothing to resume, starting svipctl-seed0" in started.stderr
    assert (tmp_path / "runs" / "small" / "svipctl-seed0" / "finished.json").exists()


UNNAMED = tuple(word for word in ARGUMENTS if word not in ("--name", "one"))


@pytest.mark.parametrize(
    ("before", "otherwise"),
    [(ARGUMENTS, "or choose another --name"), (UNNAMED, "or start another run with --name NEW")],
)
def test_auto_refuses_to_start_if_an_unfinished_run_has_another_configuration(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], before: Any, otherwise: str
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *before)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    (run,) = (tmp_path / "runs" / "small").iterdir()
    for more in (("--dry-run",), ()):
        refused = command(*arguments, "--lr", "0.7", "--resume", "auto", *more)
        assert refused.code == 2
        assert f"{run.name} is unfinished and was started with another configuration" in refused.stderr
        assert "optim.lr: 3e-05 in the run, 0.7 now" in refused.stderr
        assert f"next: omit these flags, {otherwise}" in refused.stderr
    assert list((tmp_path / "runs" / "small").iterdir()) == [run]
    other = command(*arguments, "--lr", "0.7", "--name", "other", "--resume", "auto")
    assert other.code == 0, other.stderr
    assert "nothing to resume, starting other" in other.stderr


@pytest.mark.parametrize("other", [("--seed", "1"), ("--recipe", "paper"), ("--fold", "2")])
def test_auto_starts_a_run_with_another_seed_recipe_or_fold_next_to_an_unfinished_one(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], other: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *UNNAMED)
    command(*arguments, "--fold", "1", first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    begun = command(*arguments, *other, "--resume", "auto", "--dry-run")
    assert begun.code == 0, begun.stderr
    assert "nothing to resume, would start" in begun.stderr
    assert "resumes: at epoch 1, step 5" in command(*arguments, "--fold", "1", "--resume", "--dry-run").stdout


def test_auto_ignores_runs_that_another_process_is_training_or_reproduce_has_named(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *UNNAMED)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    (run,) = (tmp_path / "runs" / "small").iterdir()
    with file_lock(run):
        begun = command(*arguments, "--lr", "0.7", "--resume", "auto", "--dry-run")
    assert "nothing to resume, would start svipctl-seed0-2" in begun.stderr
    run.rename(run.with_name("table-svipctl-seed0"))
    for flags in (("--lr", "0.7"), ()):
        begun = command(*arguments, *flags, "--resume", "auto", "--dry-run")
        assert "nothing to resume, would start svipctl-seed0" in begun.stderr


def test_repeating_the_command_of_a_finished_run_succeeds_and_changes_no_file(
    command: Command, tmp_path: Path, small_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(small_folder), *tiny, *ARGUMENTS, "--resume", "auto", "--json")
    first = command(*arguments)
    shutil.rmtree(small_folder / "images")
    shutil.rmtree(tmp_path / RUN / "checkpoints" / "last")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / RUN).rglob("*")}
    for more in ((), ("--gpu", "cpu,cpu"), ("--dry-run",)):
        again = command(*arguments, *more)
        assert again.code == 0, again.stderr
        assert again.document == first.document
        assert "one is finished: nothing is left to do" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / RUN).rglob("*")} == files
    other = command(*arguments, "--seed", "5")
    assert other.code == 2
    assert "one is finished and was started with another configuration" in other.document["error"]["what"]
    assert f"--init-from {RUN} starts from its weights" in other.document["error"]["todo"]


def test_a_resumed_run_keeps_its_memory_settings(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    lean = ("--set", "train.accumulate=2", "--set", "train.checkpointing=mlp")
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    whole = command("train", str(shared_folder), *tiny, *UNNAMED, "--name", "whole", *lean)
    assert whole.code == 0, whole.stderr
    command(*arguments, *lean, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    resumed = command(*arguments, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "now train" not in resumed.stderr
    assert result(tmp_path / RUN)[0] == result(tmp_path / "runs" / "small" / "whole")[0]


@pytest.mark.parametrize("kind", ["mlp", "blocks"])
def test_a_run_resumed_with_less_memory_ends_the_same_and_reports_the_change(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...], whole: Any, kind: str
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS, *ONE_WARMUP_EPOCH)
    command(*arguments, first=functools.partial(signal_at_update, 12, signal.SIGTERM))
    again = (*arguments, "--resume", "--set", f"train.checkpointing={kind}")
    assert f"then train.checkpointing: {kind}, before none" in command(*again, "--dry-run").stderr
    resumed = command(*again)
    assert resumed.code == 0, resumed.stderr
    assert f"now train.checkpointing: {kind}, before none" in resumed.stderr
    assert result(tmp_path / RUN) == whole


def test_a_dry_run_prints_what_it_would_resume(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    assert "nothing to resume, would start one" in command(*arguments, "--resume", "--dry-run").stderr
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    assert "resumes: at epoch 1, step 5\n" in command(*arguments, "--resume", "--dry-run").stdout


def test_neither_a_resume_nor_its_dry_run_needs_the_weights_file(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    config = (tmp_path / RUN / "config.toml").read_text()
    rewrite_configuration(tmp_path / RUN, config.replace('weights = "none"', 'weights = "gone.npz"'))
    for more in (("--dry-run",), ()):
        done = command("train", str(shared_folder), "--resume", "one", "--gpu", "cpu", *more)
        assert done.code == 0, done.stderr


@pytest.mark.fast
def test_a_damaged_state_is_an_error(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *ARGUMENTS)
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    state = tmp_path / RUN / "checkpoints" / "last" / "training.pt"
    state.write_bytes(state.read_bytes()[:-200])
    refused = command(*arguments, "--resume", "auto")
    assert refused.code == 3
    assert "training.pt is damaged" in refused.stderr
    assert "next: train a new run" in refused.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("attributes.csv", ",1,", ",0.9,", "class attributes of small have changed"),
        ("split.csv", "seen_a/0.png,trainval", "seen_a/0.png,unused", "training images: 20 in the run, "),
        ("split.csv", "seen_f/0.png,trainval", "seen_f/0.png,test_seen", "validation images: 16 in the run, "),
    ],
)
def test_a_run_does_not_resume_with_another_class_table_or_split(
    file: str, old: str, new: str, message: str, command: Command, small_folder: Path, tiny: tuple[str, ...]
) -> None:
    arguments = ("train", str(small_folder), *tiny, *ARGUMENTS, "--fold", "1", "--set", "train.monitor=validation")
    command(*arguments, first=functools.partial(signal_at_update, 4, signal.SIGTERM))
    table = small_folder / file
    table.write_text(table.read_text().replace(old, new))
    for more in (("--dry-run",), ()):
        refused = command(*arguments, "--resume", *more)
        assert refused.code == 3
        assert message in refused.stderr


def test_a_run_that_cannot_start_leaves_no_folder(
    command: Command, tmp_path: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    failed = command(
        "train", str(shared_folder), *tiny, *ARGUMENTS, first=functools.partial(refuse_changes, 1, "fsync")
    )
    assert failed.code == 5, failed.stderr
    assert not (tmp_path / RUN).exists()
