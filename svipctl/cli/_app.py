"""Build the tree of commands. A command is imported only when it is used, so that help and completion stay instant."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import dropwhile
from typing import Annotated, Any

import typer

from svipctl.cli._command import Command
from svipctl.version import __version__

COMMANDS = (
    *("train", "eval", "baseline", "predict", "embed", "runs", "export", "reproduce", "tune", "visualize", "data"),
    *("w2v", "config", "doctor", "completion"),
)
"""The commands and the groups of commands, in the order of the help."""
GROUPS = {
    "visualize": (
        "Draw figures and reports of runs.",
        ("patches", "attributes", "attention", "sheet", "curves", "embedding", "confusion", "report", "compare"),
    ),
    "data": ("Download, inspect and pack data sets.", ("fetch", "status", "pack", "import")),
    "w2v": ("Build and check word vectors of attributes.", ("build", "check")),
    "config": ("Show the configuration and its origins.", ("show",)),
}
"""Group -> its help and its commands."""
_TAKEN = ("eval", "import")
"""Commands whose names Python has already: an underscore follows in the names of their module and function."""

_PLAIN: dict[str, Any] = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}
"""Typer's plain help: importing the library of its other help takes too long."""


def make_app(words: Sequence[str] | None = None) -> typer.Typer:
    """Return the program.

    Args:
        words: The command line. Only the command in it is built; of the others the program knows the name and
            the summary. None builds all.

    """
    app = typer.Typer(
        **_PLAIN,
        name="svipctl",
        help="Attribute-based zero-shot image classification with SVIP (ICCV 2025).\n\n"
        "Start with the built-in data set, which needs no download: svipctl train toybirds, then svipctl eval toybirds.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_root)
    _add(app, COMMANDS, words)
    return app


def _add(app: typer.Typer, names: Sequence[str], words: Sequence[str] | None, package: str = "svipctl.cli") -> None:
    rest = list(dropwhile(lambda word: word.startswith("-"), words or ()))
    named = [name for name in names if name in rest[:1]]
    is_built = words is None or bool(named)
    for name in named or names:
        if name in GROUPS:
            help, commands = GROUPS[name]
            group = typer.Typer(**_PLAIN, help=help, no_args_is_help=True, callback=_group)
            _add(group, commands if is_built else (), None if words is None else rest[1:], f"{package}.{name}")
            app.add_typer(group, name=name)
        elif is_built:
            app.command(name)(_load(package, name).callback())
        else:
            app.command(name, help=_load(package, name).summary)(lambda: None)


def _load(package: str, name: str) -> Command:
    place = f"{name}_" if name in _TAKEN else name
    found: Command = getattr(import_module(f"{package}.{place}"), place)
    return found


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"svipctl {__version__}")
        raise typer.Exit


def _show_help(ctx: typer.Context, value: bool) -> None:
    if value:
        typer.echo(ctx.get_help())
        raise typer.Exit


Help = Annotated[
    bool, typer.Option("--help", "-h", help="Show this message and exit.", callback=_show_help, is_eager=True)
]
"""Replacement of Typer's own --help, which imports pydantic for the help of a command."""


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    help: Help = False,
) -> None:
    """Declare the options of the program itself."""


def _group(help: Help = False) -> None:
    """Declare the options of a group of commands."""
