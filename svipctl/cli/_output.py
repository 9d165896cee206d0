"""Print what commands produce: data on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from svipctl.cli._progress import ProgressLines, bars
from svipctl.plans import describe_plan
from svipctl.quoting import printable, printable_line
from svipctl.types import ProgressCallback

_COMMAND = re.compile(r"next:.*( --?\w|\b(svipctl|pip|python|hf) )")
"""A line with something to paste."""


class Sink:
    """The output, as configured by --json, --quiet and --debug."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.debug = False
        self.silent = False
        """True in all but the first of several processes, which print only their own errors."""
        self.is_answered = False
        """True after the document is written."""
        self._items: int | None = None  # entries of the open list so far, None if no list is open

    @property
    def is_live(self) -> bool:
        """True if stderr is a terminal for live progress."""
        return sys.stderr.isatty() and not (self.quiet or self.silent) and os.environ.get("TERM") != "dumb"

    @property
    def columns(self) -> int:
        """Width of stdout: of the terminal, or unlimited."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize

    @property
    def has_braille(self) -> bool:
        """True if the terminal shows more than ASCII."""
        stream = getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # rich is checked before while it draws a bar
        return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf16") and (
            os.environ.get("TERM") not in ("dumb", "linux")
        )

    def document(self, document: Mapping[str, Any]) -> None:
        """Print the result of the command, with --json."""
        if not self.json or self.silent:
            return
        text = json.dumps(document, indent=2)
        if self._items is not None:
            text = "\n  ]" + ("," + text[1:] if document else "\n}")
            self._items = None
        self.is_answered = True
        sys.stdout.write(text + "\n")
        sys.stdout.flush()  # a document that cannot be written is detected before its error is reported

    def begin_list(self, head: Mapping[str, Any], name: str) -> None:
        """Start the document with a list of unknown length; `item` adds to it, `document` closes it."""
        if self.json and not self.silent:
            self._items = 0
            sys.stdout.write(json.dumps(head, indent=2).removesuffix("}").rstrip() + f',\n  "{name}": [')

    def item(self, item: Mapping[str, Any]) -> None:
        """Add an item to the open list, with --json."""
        if self.json and self._items is not None:
            sys.stdout.write(("," if self._items else "") + "\n    " + json.dumps(item))
            self._items += 1

    def say(self, text: str) -> None:
        """Print the result for a person, without --json and --quiet."""
        if not self.quiet:
            self.data(folded(text, sys.stdout))

    def result(self, text: str, document: Mapping[str, Any]) -> None:
        """Print the result of the command: the text for a person, or the document with --json."""
        self.say(text)
        self.document(document)

    def plan(self, plan: Mapping[str, Any], text: str | None = None) -> None:
        """Print the plan of --dry-run; a line for each of its values if it has no text."""
        self.result(describe_plan(plan) if text is None else text, {"dry_run": True, **plan})

    def data(self, text: str) -> None:
        """Print the result for another program unchanged, without --json."""
        if not (self.json or self.silent):
            sys.stdout.write(printable(text) + "\n")

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        if not (self.quiet or self.silent):
            self.complain(text)

    def complain(self, text: str) -> None:
        """Print on stderr, regardless of the flags."""
        sys.stderr.write(folded(printable(text), sys.stderr) + "\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Print a warning on stderr, without --quiet."""
        self.note(f"warning: {text}")

    def warn_each(self, texts: Iterable[str]) -> None:
        """Print warnings on stderr, without --quiet."""
        for text in texts:
            self.warn(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table for a person: drawn by rich on a terminal, aligned plain text elsewhere."""
        if self.json or self.quiet or self.silent:
            return
        title, columns = printable_line(title), [printable_line(name) for name in columns]
        rows = [[printable_line(cell) for cell in row] for row in rows]
        if sys.stdout.isatty():
            from svipctl.cli import _tables

            _tables.draw(title, columns, rows, ruled=self.has_braille)
            return
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        self.say(title)
        for row in [columns, *rows]:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
            self.say("  " + "  ".join(cells).rstrip())

    @contextmanager
    def progress(self, what: str) -> Iterator[ProgressCallback]:
        """Show a bar on a terminal; elsewhere a line per minute, and one at the end."""
        if self.is_live:
            with bars() as move:
                yield lambda done, total: move(what, done, total)
            return
        lines = ProgressLines(what, self.note)
        yield lines.move
        lines.end()

    @contextmanager
    def transfers(self) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar for each of several transfers on a terminal; elsewhere a line at the start of each."""
        if self.is_live:
            with bars(in_bytes=True) as move:
                yield move
            return
        begun: set[str] = set()

        def line(what: str, done: int, total: int) -> None:
            if what not in begun:
                begun.add(what)
                self.note(what + (f" ({total:,})" if total else ""))

        yield line


def folded(text: str, stream: TextIO) -> str:
    """Return text with long lines wrapped if the stream is a terminal; commands to paste are not wrapped."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        line if len(line) <= width or _COMMAND.search(line) else "\n".join(_wrapped(line, width))
        for line in text.split("\n")
    )


def _wrapped(line: str, width: int) -> list[str]:
    start = len(line) - len(line.lstrip())
    hanging = " " * (start + 2)
    return textwrap.wrap(
        line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


sink = Sink()
