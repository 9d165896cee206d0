"""The one sink of everything svipctl prints: data on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from svipctl.quoting import printable, printable_line
from svipctl.types import ProgressCallback

_PLAN_NAMES = {
    "disk_mib": "disk for checkpoints",
    "features_mib": "disk for the stem's features",
    "memory_mib": "memory for the network",
    "parts": "parts of a batch",
}
_PLAN_NOTES = {"memory_mib": "; Python and torch take about 1 GiB besides, activations what the batch takes"}


class Sink:
    """The output as --json, --quiet and --debug configure it."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.debug = False
        self.silent = False
        """Set in all but the first of several processes, which print only errors of their own."""
        self.is_answered = False
        """True once the document is written."""
        self._items: int | None = None  # written so far of a list that is open, None when there is none

    @property
    def is_live(self) -> bool:
        """True if stderr is a terminal for live progress."""
        return sys.stderr.isatty() and not (self.quiet or self.silent) and os.environ.get("TERM") != "dumb"

    @property
    def draws_on_stdout(self) -> bool:
        """True if stdout is a terminal for plots in text."""
        return sys.stdout.isatty() and not (self.json or self.quiet or self.silent)

    @property
    def has_braille(self) -> bool:
        """True if the terminal takes more than ASCII."""
        stream = getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # rich stands before it while it draws a bar
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
        sys.stdout.flush()  # an error's document that cannot be written is known before the error is reported

    def begin_list(self, head: Mapping[str, Any], name: str) -> None:
        """Begin the document with a list of unknown length; `item` adds to it, `document` closes it."""
        if self.json and not self.silent:
            self._items = 0
            sys.stdout.write(json.dumps(head, indent=2).removesuffix("}").rstrip() + f',\n  "{name}": [')

    def item(self, item: Mapping[str, Any]) -> None:
        """Add an item to the open list, with --json."""
        if self.json and self._items is not None:
            sys.stdout.write(("," if self._items else "") + "\n    " + json.dumps(item))
            self._items += 1

    def say(self, text: str) -> None:
        """Print the result for a person, without --json."""
        if not (self.json or self.silent):
            sys.stdout.write(printable(text) + "\n")

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        if not (self.quiet or self.silent):
            self.complain(text)

    def complain(self, text: str) -> None:
        """Print on stderr whatever the flags are."""
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Print a warning on stderr, without --quiet."""
        self.note(f"warning: {text}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table for a person: drawn by rich on a terminal, aligned plain text elsewhere."""
        if self.json or self.silent:
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
        """Show a bar on a terminal; elsewhere one line when the work is done."""
        if self.is_live:
            with _bars() as move:
                yield lambda done, total: move(what, done, total)
            return
        last = [0]

        def remember(done: int, total: int) -> None:
            last[0] = done

        yield remember
        if last[0]:
            self.note(f"{what}: {last[0]} done")

    @contextmanager
    def transfers(self) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar for each of several transfers on a terminal; elsewhere a line when one begins."""
        if self.is_live:
            with _bars(in_bytes=True) as move:
                yield move
            return
        begun: set[str] = set()

        def line(what: str, done: int, total: int) -> None:
            if what not in begun:
                begun.add(what)
                self.note(what + (f" ({total:,})" if total else ""))

        yield line


@contextmanager
def _bars(*, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr for each name that is reported; those of bytes stay when they are done."""
    from rich import progress
    from rich.console import Console

    counts = (
        (progress.DownloadColumn(), progress.TransferSpeedColumn()) if in_bytes else (progress.MofNCompleteColumn(),)
    )
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *counts,
        progress.TimeRemainingColumn(),
    )
    console, tasks = Console(stderr=True), dict[str, progress.TaskID]()
    with progress.Progress(
        *columns, console=console, transient=not in_bytes, redirect_stdout=sys.stdout.isatty()
    ) as display:

        def move(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(printable_line(what), total=None)
            display.update(tasks[what], completed=done, total=total or None)

        yield move


def describe_plan(plan: Mapping[str, Any]) -> str:
    """Return what --dry-run shows: a line for each value that is known and needed."""
    return "\n".join(
        f"{_PLAN_NAMES.get(key, key.replace('_', ' '))}: {_in_words(value)}{' MiB' if key.endswith('_mib') else ''}"
        f"{_PLAN_NOTES.get(key, '')}"
        for key, value in plan.items()
        if value is not None and (value or key != "features_mib")
    )


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{one} {name}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


sink = Sink()
