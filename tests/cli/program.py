"""Describe the program for its tests: every command with its help, and a shell command that is svipctl."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from svipctl.cli._app import make_app

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Page:
    """Help of a command or of a group of commands."""

    path: str
    command: Any
    context: typer.Context

    @property
    def is_group(self) -> bool:
        """True for a group of commands."""
        return hasattr(self.command, "commands")

    @property
    def examples(self) -> list[str]:
        """Command lines in its help."""
        _, _, block = (self.command.help or "").partition("Examples:")
        return re.findall(r"^    (.*svipctl.*)$", block, re.MULTILINE)

    @property
    def parameters(self) -> list[Any]:
        """Arguments and options."""
        return self.command.get_params(self.context)

    @property
    def options(self) -> list[str]:
        """Names of the options."""
        return [name for one in self.parameters for name in one.opts if name.startswith("-")]


@cache
def pages() -> list[Page]:
    """Return the help of every command and group."""
    return list(_pages(get_command(make_app()), "svipctl", None))


def _pages(command: Any, name: str, parent: typer.Context | None) -> Iterator[Page]:
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield Page(context.command_path, command, context)
    for below, inner in getattr(command, "commands", {}).items():
        yield from _pages(inner, below, context)


def groups() -> list[Page]:
    """Return the help of the program and of its groups of commands."""
    return [page for page in pages() if page.is_group]


def commands() -> list[Page]:
    """Return the help of every command that can be run."""
    return [page for page in pages() if not page.is_group]


def install_in(folder: Path) -> Path:
    """Install a `svipctl` for shells in a folder: it answers completion, and otherwise prints its arguments."""
    folder.mkdir()
    program = folder / "svipctl"
    program.write_text(
        "#!/bin/sh\n"
        f'if [ -n "$_SVIPCTL_COMPLETE" ]; then PYTHONPATH="{ROOT}" exec "{sys.executable}" -m svipctl; fi\n'
        "printf 'GIVEN'; printf ' [%s]' \"$@\"; printf ' END\\n'\n"
    )
    program.chmod(0o755)
    return folder
