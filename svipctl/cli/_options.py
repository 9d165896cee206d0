"""Declare arguments and options that several commands share; those of settings are in settings/flags.py."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from svipctl.cli import _completion
from svipctl.settings.flags import Flag

Dataset = Annotated[
    str,
    typer.Argument(
        help="cub, awa2, sun, toybirds, or a folder of your own.",
        show_default=False,
        autocompletion=_completion.datasets,
    ),
]
OptionalDataset = Annotated[str | None, get_args(Dataset)[1]]
RunName = Annotated[
    str | None,
    typer.Option("--run", help="Run name or folder. (default: newest finished run)", autocompletion=_completion.runs),
]
STANDALONE = "--standalone"
Standalone = Annotated[
    bool,
    typer.Option(STANDALONE, help="Run as one process; ignore variables of Slurm and torchrun."),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")]


def output(help: str) -> Any:
    """Return the option of the file or folder that a command writes."""
    return typer.Option("--output", "-o", help=help, show_default=False)


def parameter(name: str, annotation: Any, option: Any, default: Any = None) -> inspect.Parameter:
    """Return a keyword parameter of a command."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=Annotated[annotation, option])


def setting_parameter(flag: Flag) -> inspect.Parameter:
    """Return the parameter of a setting's flag, None unless the flag is given."""
    completion = _completion.choices(*flag.values) if flag.values else None
    option = typer.Option(flag.name, help=flag.help, metavar=flag.metavar, autocompletion=completion)
    return parameter(flag.parameter, flag.type | None, option)


CONFIG = parameter(
    "config", Path | None, typer.Option("--config", help="TOML file of settings, overriding svipctl.toml.")
)
SET = parameter(
    "assignments",
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any setting, for example optim.lr=1e-4. Repeatable.",
        autocompletion=_completion.assignments,
    ),
)
DRY_RUN = parameter(
    "dry_run", bool, typer.Option("--dry-run", help="Print the plan and its requirements; do nothing."), False
)
OUTPUT = (
    parameter("json", bool, typer.Option("--json", help="Print one JSON document on stdout."), False),
    parameter(
        "quiet", bool, typer.Option("--quiet", help="Print only errors and the output of --json or --csv."), False
    ),
    parameter("debug", bool, typer.Option("--debug", help="Show the traceback of an error."), False),
)
