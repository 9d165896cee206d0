"""Build the tree of commands. A command is imported only when it is used, so that help and completion stay instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from svipctl.cli._command import Command
from svipctl.cli._errors import interrupted
from svipctl.version import __version__


@dataclass(frozen=True)
class Group:
    """Commands behind a common word."""

    help: str
    commands: Mapping[str, str]


Commands = Mapping[str, str | Group]
COMMANDS: Commands = {
    "train": "train:train",
    "eval": "eval:eval_",
    "baseline": "baseline:baseline",
    "predict": "predict:predict",
    "embed": "embed:embed",
    "runs": "runs:runs",
    "export": "export:export",
    "reproduce": "reproduce:reproduce",
    "tune": "tune:tune",
    "visualize": Group(
        "Draw figures and reports of runs.",
        {
            "patches": "visualize.patches:patches",
            "attributes": "visualize.attributes:attributes",
            "attention": "visualize.attention:attention",
            "sheet": "visualize.sheet:sheet",
            "curves": "visualize.curves:curves",
            "embedding": "visualize.embedding:embedding",
            "confusion": "visualize.confusion:confusion",
            "report": "visualize.report:report",
            "compare": "visualize.compare:compare",
        },
    ),
    "data": Group(
        "Download, inspect and pack data sets.",
        {
            "fetch": "data.fetch:fetch",
            "status": "data.status:status",
            "pack": "data.pack:pack",
            "import": "data.import_:import_",
        },
    ),
    "w2v": Group(
        "Build and check word vectors of attributes.", {"build": "w2v.build:build", "check": "w2v.check:check"}
    ),
    "config": Group("Show the configuration and its origins.", {"show": "config:show"}),
    "doctor": "doctor:doctor",
    "completion": "completion:completion",
}
"""Command -> its module below svipctl.cli and its function."""

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
        cls=_Program,
        help="Attribute-based zero-shot image classification with SVIP (ICCV 2025).\n\n"
        "Start with the built-in data set, which needs no download: svipctl train toybirds, then svipctl eval toybirds.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_root)
    _add(app, COMMANDS, words)
    return app


def _add(app: typer.Typer, commands: Commands, words: Sequence[str] | None) -> None:
    rest = list(words or ())
    while rest and rest[0].startswith("-"):
        rest.pop(0)
    named = {name: place for name, place in commands.items() if name in rest[:1]}
    is_built = words is None or bool(named)
    for name, place in (named or commands).items():
        if isinstance(place, Group):
            group = typer.Typer(**_PLAIN, help=place.help, no_args_is_help=True, callback=_group)
            _add(group, place.commands if is_built else {}, None if words is None else rest[1:])
            app.add_typer(group, name=name)
        elif is_built:
            app.command(name)(_load(place).callback())
        else:
            app.command(name, help=_load(place).summary)(lambda: None)


def _load(place: str) -> Command:
    module, _, name = place.partition(":")
    found: Command = getattr(import_module(f"svipctl.cli.{module}"), name)
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


class _Program(TyperGroup):
    """The program: Ctrl-C and signals are errors like all others, while Typer exits silently."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line."""
        with _reported():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _reported():
            return super().invoke(ctx)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise interrupted(error) from error
