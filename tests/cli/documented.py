"""Find the commands that README and docs/ show, with file and line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import typer
from typer.main import get_command

from svipctl.cli._app import make_app
from svipctl.cli._main import normalised
from svipctl.settings.keys import known_keys
from tests.cli.program import ROOT

GENERATED = "docs/cli.md"  # its examples are those of the program's help, which test_help runs
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if path.is_file()
)
_FENCE = re.compile(r"^ *```(\w*)")
_SPAN = re.compile(r"(?<!`)`(svipctl [^`]+)`(?!`)")
_STANDS_FOR = {"DATASET": "toybirds", "FOLDER": "birds", "N": "1", "SHELL": "bash", "COMMAND": "train"}
_KEYS = frozenset(key for key, _ in known_keys())


@dataclass(frozen=True)
class Line:
    """A command with its place and its text."""

    document: str
    number: int
    text: str
    is_typed: bool
    """True after a `$ `, for people to copy; otherwise in a script or within a sentence."""

    def __str__(self) -> str:
        return f"{self.document}:{self.number}: {self.text}"

    @property
    def words(self) -> list[str]:
        """Return the words after `svipctl`, up to shell syntax; empty for another program."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        if "svipctl" not in words:
            return []
        words = words[words.index("svipctl") + 1 :]
        end = next((number for number, word in enumerate(words) if set(word) <= set("();<>|&")), len(words))
        return [_STANDS_FOR.get(word, word) for word in words[:end]]


def lines_of(document: str) -> list[Line]:
    """Return every command of a document: in blocks of console and shell, and `svipctl ...` within sentences."""
    return list(_read(document, (ROOT / document).read_text(encoding="utf-8").splitlines()))


def _read(document: str, rows: list[str]) -> Iterator[Line]:
    language: str | None = None
    continued = ""
    for number, row in enumerate(rows, 1):
        fence = _FENCE.match(row)
        if fence:
            language = None if language is not None else fence[1]
        elif language is None:
            yield from (Line(document, number, span, False) for span in _SPAN.findall(row))
        elif continued or (language == "console" and row.startswith("$ ")) or (language in ("sh", "bash") and row):
            text = continued + row.removeprefix("$ ").strip()
            continued = text.removesuffix("\\") if text.endswith("\\") else ""
            if not continued and not text.startswith("#") and "[OPTIONS]" not in text:  # not a usage line
                yield Line(document, number, text, language == "console")


@cache
def _program() -> Any:
    return get_command(make_app())


def problem_of(line: Line) -> str:
    """Return why the program would not accept these words, or an empty text. Nothing is run."""
    words, node = line.words, _program()
    context: Any = typer.Context(node, info_name="svipctl")
    while words and words[0] in getattr(node, "commands", {}):
        node = node.commands[words[0]]  # type: ignore[attr-defined]
        context, words = typer.Context(node, info_name=words[0], parent=context), words[1:]
    if not line.is_typed and not words:
        return ""  # a sentence names the command
    if getattr(node, "commands", {}):
        return "" if words and words[-1] in ("--help", "--version") else f"there is no command {' '.join(words)!r}"
    try:
        made = node.make_context(context.info_name or "", normalised(words), parent=context.parent)
    except typer.TyperException as error:
        return error.format_message()
    except typer.Exit:
        return ""
    keys = [assignment.partition("=")[0] for assignment in made.params.get("assignments") or ()]
    unknown = [key for key in keys if key not in _KEYS and not key.startswith("model.backbone_args")]
    return f"no such setting: {', '.join(unknown)}" if unknown else ""
