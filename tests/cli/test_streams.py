"""Test every command with a redirected stdout: a file, closed, and a pipe whose reader has exited."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from svipctl.errors import ExitCode
from tests.cli.program import commands, pages
from tests.cli.test_schemas import follows
from tests.conftest import ATTRIBUTES, Command
from tests.processes import Finished, clean_environment

pytestmark = pytest.mark.slow

FRESH = [("--version",), ("config", "show", "cub", "--json"), ("completion", "zsh"), ("data", "status")]
HELP = [(*page.path.split()[1:], "--help") for page in pages()]
COMMANDS = {page.path.removeprefix("svipctl "): page for page in commands()}
CPU = ("--gpu", "cpu")
NETWORK_FREE = ("--backbone", "vit_tiny_patch16_224", "--weights", "none")


def run(arguments: tuple[str, ...], cwd: Path, *, stdout: int, closed: bool = False) -> tuple[int, str]:
    command = [sys.executable, "-m", "svipctl", *arguments]
    before = (lambda: os.close(1)) if closed else None
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(), stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120,
        preexec_fn=before,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [*FRESH, *HELP], ids=" ".join)
def test_a_reader_that_has_exited_causes_no_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code, said = run(arguments, tmp_path, stdout=writer)
    os.close(writer)
    assert (code, said) == (1, "")


@pytest.mark.parametrize("arguments", [*FRESH, ("--help",), ("train", "--help")], ids=" ".join)
def test_a_closed_stdout_changes_only_what_is_printed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code, said = run(arguments, tmp_path, stdout=subprocess.DEVNULL, closed=True)
    assert (code, said) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
@pytest.mark.parametrize(
    "arguments", [*FRESH, ("train", "--help"), ("train", "nowhere", "--json")], ids=lambda words: " ".join(words)
)
def test_output_to_a_full_disk_is_an_error_on_stderr(
    arguments: tuple[str, ...], unbuffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("w") as full:
        code, said = run(arguments, tmp_path, stdout=full.fileno())
    assert code == ExitCode.RESOURCES
    assert said.startswith("error: no space left for the output\n")
    assert said.count("error: ") == 1


def write_without_a_reader(name: str) -> None:
    """In the forked process: make stdout or stderr a pipe whose reader has exited, as with `2> >(head -n 1)`."""
    number = {"stdout": 1, "stderr": 2}[name]
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, number)
    os.close(writer)
    setattr(sys, name, os.fdopen(number, "w", closefd=False))


def closed() -> None:
    """In the forked process: close a stream as the shell does with `>&-`."""
    os.close(1)
    sys.stdout = None


@pytest.fixture
def work(command: Command, masked_folder: Path, trained_copy: Path, tmp_path: Path) -> Callable[..., Finished]:
    """Run a command quietly until it has done its work: `work(name, first)`."""
    words = sorted({word for name in ATTRIBUTES for word in name.replace("::", "_").split("_")})
    (tmp_path / "vectors.txt").write_text("\n".join([f"{len(words)} 2", *(f"{word} 1 2" for word in words)]) + "\n")
    shutil.copytree(trained_copy, trained_copy.with_name("second"))
    folder, picture = str(masked_folder), str(next(masked_folder.rglob("images/*/*.png")))
    tiny = (*NETWORK_FREE, *CPU, "--dry-run")
    ways: dict[str, tuple[str, ...]] = {
        "train": (folder, *tiny),
        "eval": (folder, *CPU),
        "baseline": (folder, *NETWORK_FREE, *CPU, "--set", "model.backbone_args={img_size=32,depth=1,patch_size=8}"),
        "embed": (picture, *NETWORK_FREE, *CPU, "--set", "model.backbone_args={img_size=32,depth=1}", "-o", "one.npz"),
        "predict": (picture, "--run", "first", *CPU),
        "export": (folder, "--dry-run"),
        "reproduce": (folder, *tiny),
        "runs": (),
        "tune": (folder, *NETWORK_FREE, "--gpu", "cpu", "--trials", "1", "--dry-run"),
        "visualize compare": ("first", "second", *CPU),
        "data fetch": ("cub", "--dry-run"),
        "data status": (),
        "data pack": (folder, "--backbone", "vit_tiny", "--dry-run"),
        "data import": ("nowhere.pth", "--dataset", "cub"),
        "w2v build": (folder, "--vectors", "vectors.txt", "-o", "vectors.npz"),
        "w2v check": ("cub",),
        "config show": ("cub",),
        "doctor": ("--offline",),
        "completion": ("fish",),
    }
    figure = (folder, *CPU)

    def run_it(name: str, first: Callable[[], None] | None = None, *more: str) -> Finished:
        path = name.split()
        assert name in ways or path[0] == "visualize", f"say in `ways` how `svipctl {name}` is run here"
        return command(*path, *ways.get(name, figure), "--quiet", *more, first=first)

    return run_it


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_depends_on_where_its_data_is_written(
    name: str, work: Callable[..., Finished], tmp_path: Path
) -> None:
    def fresh_name(run: str) -> tuple[str, ...]:
        return ("--name", f"{run}-time") if name == "baseline" else ()

    to_file = work(name, None, "--json")
    fails = to_file.code != ExitCode.DONE
    assert fails == (name in ("data import", "w2v check")), to_file.stderr
    assert follows("error" if fails else name.replace(" ", "-"), to_file.document)
    assert "\033" not in to_file.stdout
    to_nobody = work(name, functools.partial(write_without_a_reader, "stdout"), "--json", *fresh_name("second"))
    assert to_nobody.code == ExitCode.CHECK_FAILED
    nowhere = work(name, closed, *fresh_name("third"))
    assert (nowhere.code, nowhere.stdout) == (to_file.code, "")
    for done in (to_file, to_nobody, nowhere):
        assert "Traceback" not in done.stderr
        assert fails or done.stderr == ""


def test_training_continues_without_a_reader_of_its_log(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    done = command(
        "train",
        str(shared_folder),
        *tiny,
        "--name",
        "unread",
        first=functools.partial(write_without_a_reader, "stderr"),
    )
    assert done.code == ExitCode.DONE
    assert (tmp_path / "runs" / "small" / "unread" / "finished.json").exists()


def test_an_error_without_a_reader_keeps_its_code(command: Command) -> None:
    assert command("train", "nowhere", first=functools.partial(write_without_a_reader, "stderr")).code == ExitCode.USAGE
