"""Help as it is shown: plain text with headings, bold on a terminal.

Rich draws the same in boxes but takes longer to import than all the rest of the program, so help does without it.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from svipctl.cli.errors import stopped
from svipctl.cli.pages import Page, page_of

_LEFT, _WIDEST = 28, 110  # characters


def plain_text(page: Page, width: int, *, bold: bool = False) -> str:
    """A page in lines of at most `width` characters, headings in bold if wished."""

    def heading(text: str) -> str:
        return f"\033[1m{text}\033[0m" if bold else text

    blocks = [f"{heading('Usage:')} {page.usage}", _filled(page.summary, width)]
    blocks += [_filled(paragraph, width) for paragraph in page.text.split("\n\n") if paragraph]
    if page.examples:
        blocks.append("\n".join([heading("Examples:"), *(f"  {example}" for example in page.examples)]))
    for section in page.sections:
        blocks.append("\n".join([heading(f"{section.title}:"), *(_row(*row, width) for row in section.rows)]))
    return "\n\n".join(block for block in blocks if block)


def _filled(text: str, width: int) -> str:
    return textwrap.fill(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def _row(left: str, right: str, width: int) -> str:
    lines = textwrap.wrap(right, max(width - _LEFT - 4, 20), break_long_words=False, break_on_hyphens=False) or [""]
    first = f"  {left.ljust(_LEFT)}  {lines.pop(0)}" if len(left) <= _LEFT else f"  {left}"
    return "\n".join([first.rstrip(), *(" " * (_LEFT + 4) + line for line in lines)])


def _write(command: Any, context: Any, formatter: Any) -> None:
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    formatter.write(plain_text(page_of(command, context), width, bold=bold) + "\n")


class Command(TyperCommand):
    """A command with plain help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        _write(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands with plain help, and with Ctrl-C and signals told as errors: Typer ends without a word."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line."""
        with _told():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _told():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        _write(self, ctx, formatter)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise stopped(error) from error


def use_plain_help(app: typer.Typer) -> None:
    """Give every command and group of the app this help."""
    app.info.cls = Group
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            use_plain_help(group.typer_instance)


def _listed(app: typer.Typer) -> dict[str, Any]:
    """What the program's own page says of each command, without building any of them."""
    commands: list[tuple[Any, str | None]]
    commands = [(one, one.help or getattr(one.callback, "__doc__", None)) for one in app.registered_commands]
    groups: list[tuple[Any, str | None]]
    groups = [(one, one.typer_instance.info.help if one.typer_instance else None) for one in app.registered_groups]
    return {str(one.name): SimpleNamespace(help=text, hidden=one.hidden is True) for one, text in (*commands, *groups)}


def print_asked_page(app: typer.Typer, arguments: Sequence[str]) -> bool:
    """Answer `COMMAND ... --help` without parsing: only that command is built, and no value type is made ready.

    Returns:
        False when the arguments are anything else, or name no command; the parser then answers.

    """
    if not arguments or arguments[-1] not in ("-h", "--help"):
        return False
    words, here = list(arguments[:-1]), app
    for number, word in enumerate(words):
        commands = [
            one for one in here.registered_commands if word == (one.name or getattr(one.callback, "__name__", ""))
        ]
        groups = [one for one in here.registered_groups if one.name == word]
        if not groups and not (commands and number == len(words) - 1):
            return False
        here.registered_commands, here.registered_groups = commands, groups
        here = groups[0].typer_instance or here if groups else here
    listed = {} if words else _listed(app)
    if listed:
        app.registered_commands, app.registered_groups = [], []
    node: Any = get_command(app)
    node.commands = listed or node.commands
    context = typer.Context(node, info_name="svipctl", help_option_names=["-h", "--help"])
    for word in words:
        node = node.commands[word]
        context = typer.Context(node, info_name=word, parent=context)
    _write(node, context, sys.stdout)
    return True
