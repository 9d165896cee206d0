"""Help: examples that work, a meaning for every argument, and nothing generated that is stale."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from svipctl.cli.help import plain_text
from svipctl.cli.pages import Page, split_help
from svipctl.errors import ExitCode
from tests.cli.program import ROOT, commands, groups, pages
from tests.conftest import Command
from tests.processes import fresh

BY_PATH = {page.path: page for page in commands()}
EXAMPLES = [example for page in BY_PATH.values() for example in page.examples]
SHORT_CUTS = ("svipctl", "svipctl data", "svipctl train", "svipctl config show")
NEEDS_FILES = (ExitCode.DONE, ExitCode.DATA)


@pytest.mark.parametrize("page", BY_PATH.values(), ids=list(BY_PATH))
def test_every_command_has_two_examples_of_itself(page: Page) -> None:
    assert len(page.examples) >= 2
    assert all(example.startswith(page.path) for example in page.examples)


@pytest.mark.parametrize("page", [*groups(), *BY_PATH.values()], ids=lambda page: page.path)
def test_every_argument_and_option_has_a_meaning_and_fits_the_terminal(page: Page) -> None:
    assert page.summary.endswith((".", "6)."))
    assert all(meaning for section in page.sections for _, meaning in section.rows)
    assert max(len(line) for line in plain_text(page, 100).splitlines() if not line.startswith("  svipctl")) <= 100


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_help_runs_or_says_which_data_it_needs(example: str, command: Command) -> None:
    words = shlex.split(example)[1:]
    page = max((one for one in BY_PATH if example.startswith(one)), key=len)
    can_try = any("--dry-run" in form for section in BY_PATH[page].sections for form, _ in section.rows)
    is_tried = not can_try or {"--dry-run", "--verify", "--predictions"} & set(words)
    done = command(*words, *([] if is_tried else ["--dry-run"]))
    assert done.code in NEEDS_FILES or _needs_a_gpu_or_a_folder(done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert "report what it prints" not in done.stderr


def _needs_a_gpu_or_a_folder(said: str) -> bool:
    return bool(re.search(r"there is no GPU|no unfinished run|there is no file|there is nothing", said))


def test_examples_are_taken_from_a_docstring_wherever_its_lines_break() -> None:
    text, examples = split_help("Do it.\n\n    More.\n\n    Examples: `svipctl a`, `svipctl\n    b --c`\n    ")
    assert text == "Do it.\n\nMore."
    assert examples == ("svipctl a", "svipctl b --c")


def test_what_is_generated_from_the_program_is_fresh() -> None:
    import importlib.util

    described = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert described is not None
    assert described.loader is not None
    generate = importlib.util.module_from_spec(described)
    described.loader.exec_module(generate)
    assert generate.stale(ROOT) == [], "run `make generated`"


def test_a_stale_file_is_found_and_mended(tmp_path: Path) -> None:
    import importlib.util

    described = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert described is not None
    assert described.loader is not None
    generate = importlib.util.module_from_spec(described)
    described.loader.exec_module(generate)
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    (tmp_path / "docs" / "cli.md").write_text("old")
    (tmp_path / "docs" / "man" / "svipctl-gone.1").write_text("gone")
    assert generate.write(tmp_path) == ["docs/cli.md", "docs/man/svipctl-gone.1"]
    assert generate.stale(tmp_path) == []


@pytest.mark.parametrize("page", [one for one in pages() if one.path in SHORT_CUTS], ids=lambda page: page.path)
def test_help_without_parsing_is_the_same_page(page: Page, tmp_path: Path) -> None:
    done = fresh(*page.path.split()[1:], "--help", cwd=tmp_path, environment={"COLUMNS": "90"})
    assert done.stdout == plain_text(page, 90) + "\n"
