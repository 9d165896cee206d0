"""Test text from data in all output, for every text, and that printed commands are built in one place."""

from __future__ import annotations

import ast
import csv
import io
import os
import re
import shlex
import subprocess
import xml.dom.minidom
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svipctl.quoting import markdown_text, printable, printable_line, shell_command, shell_words, spreadsheet_cell

HOSTILE = (
    "x=$(touch PWNED)",
    "`id`",
    "my birds",
    "it's",
    "a;b",
    "*",
    "~root",
    "-rf",
    "!!",
    'q"',
    "",
    "\n",
    "漢字",
    "\x1b[31m",
    "it's\tb\\n\n",
    "a\u202e\x85f",
    "\udcff1",
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ANY_TEXT = st.text(st.characters(exclude_categories=()))


LINES = st.text() | st.sampled_from(HOSTILE)


@given(st.lists(LINES.filter(lambda word: printable_line(word) == word)))
def test_a_command_is_parsed_into_its_words(words: list[str]) -> None:
    assert shlex.split(shell_command(*words)) == ["svipctl", *words]


def test_a_shell_reads_every_word_unchanged_from_one_printed_line() -> None:
    line = printable_line(shell_words(*HOSTILE))
    done = subprocess.run(["bash", "-c", f"printf '[%s]' {line}"], capture_output=True, check=True)
    assert os.fsdecode(done.stdout) == "".join(f"[{word}]" for word in HOSTILE)


@given(ANY_TEXT)
@example("\x1b]0;title\x07")
@example("\x9b31m")
@example("a\u202eb")
def test_printed_text_has_no_control_codes_and_is_otherwise_unchanged(text: str) -> None:
    shown = printable(text)
    assert not CONTROL.search(shown)
    shown.encode()
    assert printable(shown) == shown
    assert "\n" not in printable_line(text)
    if not CONTROL.search(text) and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>", r"\<script\>"),
        ("a|b", r"a\|b"),
        ("[x](y) *z* `w`", r"\[x\](y) \*z\* \`w\`"),
        ("&amp;", r"\&amp;"),
        ("two\nlines\x1b\u202e", r"two\\x0alines\\x1b\\u202e"),
        ("seen_a (1)", "seen_a (1)"),
    ],
)
def test_markdown_shows_text_unchanged(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


@given(ANY_TEXT)
@settings(max_examples=300)
def test_printed_text_is_valid_in_xml(text: str) -> None:
    xml.dom.minidom.parseString(f"<a>{printable(text).replace('&', '&amp;').replace('<', '&lt;')}</a>".encode())


@pytest.mark.parametrize("text", ["=1+1", "=cmd|' /C calc'!A0", "@SUM(A1)", "+1+1", "-1+1", "\t=1", "\r=1", "＝1"])
def test_a_cell_that_a_spreadsheet_would_compute_is_text(text: str) -> None:
    cell = spreadsheet_cell(text)
    assert cell.startswith("'")
    line = io.StringIO()
    csv.writer(line).writerow([cell, "end"])
    assert next(csv.reader(io.StringIO(line.getvalue()))) == [cell, "end"]


@pytest.mark.parametrize("value", ["wren", "a=b", "1", "-0.5", "+2.25", "", 3, -1.5, "0:1 1:2", "has_bill_color::red"])
def test_other_cells_are_unchanged(value: object) -> None:
    assert spreadsheet_cell(value) == value


PACKAGE = Path(__file__).parents[1] / "svipctl"
COMMAND = re.compile("svipctl [a-z][a-z0-9 -]*\0")
FLAG = re.compile("(^|[ (])--?[a-z][a-z-]* \0")


def shown(node: ast.JoinedStr) -> str:
    """Return the text of an f-string, with a NUL in place of each value."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_command_is_built_without_quoting(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    fixes = [one.value for one in ast.walk(tree) if isinstance(one, ast.keyword) and one.arg == "todo"]
    unquoted = [shown(one) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) and COMMAND.search(shown(one))]
    parts = (one for fix in fixes for one in ast.walk(fix) if isinstance(one, ast.JoinedStr))
    assert unquoted + [shown(one) for one in parts if FLAG.search(shown(one))] == []
