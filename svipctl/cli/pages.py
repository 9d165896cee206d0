"""What a command's help says, as values: for the terminal, for docs/cli.md and for the man pages.

A command's docstring is a summary, a text, and last `Examples:` with each example in backticks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

ARGUMENTS, OPTIONS, COMMANDS = "Arguments", "Options", "Commands"
_EXAMPLE = re.compile(r"`(svipctl[^`]*)`")


@dataclass(frozen=True)
class Section:
    """A heading with one line for each argument, option or command: its form and its meaning."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """Everything that help shows of one command."""

    path: str
    usage: str
    summary: str
    text: str
    examples: tuple[str, ...]
    sections: tuple[Section, ...]


def page_of(command: Any, context: typer.Context) -> Page:
    """The page of a command, in the context that help is shown in."""
    text, examples = split_help(command.help or "")
    summary, _, rest = text.partition("\n\n")
    return Page(
        path=context.command_path,
        usage=" ".join([context.command_path, *command.collect_usage_pieces(context)]),
        summary=" ".join(summary.split()),
        text=rest.strip(),
        examples=examples,
        sections=tuple(_sections(command, context)),
    )


def split_help(text: str) -> tuple[str, tuple[str, ...]]:
    """A docstring's text and its examples."""
    words, _, examples = inspect.cleandoc(text).partition("Examples:")
    return words.strip(), tuple(" ".join(example.split()) for example in _EXAMPLE.findall(examples))


def all_pages(command: Any, name: str, parent: typer.Context | None = None) -> Iterator[Page]:
    """The page of a command, then those of everything below it; what is hidden is left out."""
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield page_of(command, context)
    for below, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from all_pages(inner, below, context)


def _sections(command: Any, context: typer.Context) -> Iterator[Section]:
    groups: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], OPTIONS: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            kind = ARGUMENTS if parameter.param_type_name == "argument" else OPTIONS
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(record)
    below = getattr(command, "commands", {})
    groups[COMMANDS] = [
        (name, " ".join(split_help(inner.help or "")[0].partition("\n\n")[0].split()))
        for name, inner in below.items()
        if not inner.hidden
    ]
    for title, rows in groups.items():
        if rows:
            yield Section(title, tuple(rows))
