"""Test help: examples that work, a meaning for every argument, and up-to-date generated files."""

from __future__ import annotations

import re
import shlex
from contextvars import copy_context
from pathlib import Path

import pytest

from svipctl.errors import ExitCode
from svipctl.quoting import repeat_in_commands, shell_command
from tests.cli.program import ROOT, Page, commands, groups
from tests.conftest import Command
from tests.marks import first_fast
from tests.processes import fresh

BY_PATH = {page.path: page for page in commands()}
EXAMPLES = [example for page in BY_PATH.values() for example in page.examples]
RUNNABLE = [example for example in EXAMPLES if example.startswith("svipctl")]
NEEDS_FILES = (ExitCode.DONE, ExitCode.DATA)


@pytest.mark.parametrize("page", BY_PATH.values(), ids=list(BY_PATH))
def test_every_command_has_two_examples(page: Page) -> None:
    assert len(page.examples) >= 2
    assert all(page.path in example for example in page.examples)


@pytest.mark.parametrize("page", [*groups(), *BY_PATH.values()], ids=lambda page: page.path)
def test_every_argument_and_option_has_a_meaning_and_fits_the_terminal(page: Page) -> None:
    shown = page.command.get_help(page.context)
    assert page.command.help.partition("\n")[0].endswith(".")
    assert all(one.help for one in page.parameters)
    assert max(len(line) for line in shown.splitlines() if not line.startswith("      svipctl")) <= 80


@pytest.mark.parametrize("page", BY_PATH.values(), ids=list(BY_PATH))
def test_a_printed_command_repeats_the_folders_that_it_takes(page: Page) -> None:
    folders = {"--data-dir": "my data", "--runs-dir": "my runs"}

    def printed() -> str:
        repeat_in_commands(folders)
        return shell_command(*page.path.split()[1:])

    words = shlex.split(copy_context().run(printed))
    taken = [word for flag, folder in folders.items() if flag in page.options for word in (flag, folder)]
    assert words == [*page.path.split(), *taken]


@pytest.mark.parametrize("arguments", first_fast([("train", "cub"), ("eval", "toybirds"), ("data", "pack", "sun")]))
def test_the_hint_of_an_error_repeats_the_folders_of_the_command(command: Command, arguments: tuple[str, ...]) -> None:
    folders = ("--data-dir", "elsewhere", *(("--runs-dir", "other") if arguments[0] != "data" else ()))
    done = command(*arguments, *folders)
    (hint,) = [line for line in done.stderr.splitlines() if "next:" in line]
    assert "--data-dir elsewhere" in hint
    assert ("--runs-dir other" in hint) == ("svipctl eval" in hint or "svipctl train" in hint)
    assert "--data-dir runs" in command(*arguments, "--data-dir", "runs").stderr, "the default of another flag"
    without = command(*arguments)
    assert "-dir" not in without.stderr


@pytest.mark.parametrize("example", first_fast(RUNNABLE, 8))
def test_an_example_of_help_runs_or_names_the_data_it_needs(example: str, command: Command) -> None:
    words = shlex.split(example)[1:]
    page = max((one for one in BY_PATH if example.startswith(one)), key=len)
    can_try = "--dry-run" in BY_PATH[page].options
    is_tried = not can_try or {"--dry-run", "--verify", "--predictions"} & set(words)
    done = command(*words, *([] if is_tried else ["--dry-run"]))
    assert done.code in NEEDS_FILES or _needs_a_gpu_or_a_folder(done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert "report its output" not in done.stderr


def _needs_a_gpu_or_a_folder(said: str) -> bool:
    return bool(re.search(r"there is no GPU|no unfinished run|there is no file|nothing to resume", said))


def test_generated_files_are_up_to_date() -> None:
    import importlib.util

    described = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert described is not None
    assert described.loader is not None
    generate = importlib.util.module_from_spec(described)
    described.loader.exec_module(generate)
    assert generate.stale(ROOT) == [], "run `make generated`"


def test_an_outdated_file_is_found_and_replaced(tmp_path: Path) -> None:
    import importlib.util

    described = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert described is not None
    assert described.loader is not None
    generate = importlib.util.module_from_spec(described)
    described.loader.exec_module(generate)
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    (tmp_path / "docs" / "cli.md").write_text("old")
    (tmp_path / "completions" / "svipctl.tcsh").write_text("gone")
    assert generate.write(tmp_path) == ["completions/svipctl.tcsh", "docs/cli.md"]
    assert generate.stale(tmp_path) == []


def test_help_shows_each_example_on_its_own_line(tmp_path: Path) -> None:
    for words in ("train", "visualize attributes"):
        lines = fresh(*words.split(), "--help", cwd=tmp_path).stdout.splitlines()
        assert [line.strip() for line in lines if line.startswith("      svipctl")] == BY_PATH[
            f"svipctl {words}"
        ].examples


@pytest.mark.parametrize("words", [(), ("visualize",), ("train",), ("config", "show")])
def test_h_is_short_for_help(words: tuple[str, ...], command: Command) -> None:
    assert command(*words, "-h").stdout == command(*words, "--help").stdout != ""


def test_the_program_lists_its_commands_with_their_summaries(command: Command) -> None:
    shown = command("--help").stdout
    assert all(f"  {name}" in shown for name in ("train", "eval", "predict", "visualize", "data", "completion"))
    assert "Classify images with a trained model." in shown
