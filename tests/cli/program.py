"""The program as its tests go through it: every command, its page of help, and a shell command that is svipctl."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from svipctl.cli.app import app
from svipctl.cli.pages import Page, all_pages

ROOT = Path(__file__).resolve().parents[2]


def pages() -> list[Page]:
    """The help of every command and group."""
    return list(all_pages(get_command(app), "svipctl"))


def groups() -> list[Page]:
    """The help of the program and of its groups of commands."""
    return [page for page in pages() if any(section.title == "Commands" for section in page.sections)]


def commands() -> Iterator[Page]:
    """The help of what can be run: no groups."""
    for page in pages():
        if not any(section.title == "Commands" for section in page.sections):
            yield page


def install_in(folder: Path) -> Path:
    """A `svipctl` for shells in a folder: it answers completion, and else shows the words it was given."""
    folder.mkdir()
    program = folder / "svipctl"
    program.write_text(
        "#!/bin/sh\n"
        f'if [ -n "$_SVIPCTL_COMPLETE" ]; then PYTHONPATH="{ROOT}" exec "{sys.executable}" -m svipctl; fi\n'
        "printf 'GIVEN'; printf ' [%s]' \"$@\"; printf ' END\\n'\n"
    )
    program.chmod(0o755)
    return folder
