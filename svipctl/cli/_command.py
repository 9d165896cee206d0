"""Declare commands: their arguments and options, and the flags that they share with other commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.models import OptionInfo

from svipctl.cli import _completion
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.quoting import repeat_in_commands
from svipctl.settings.flags import DATA_DIR, RUNS_DIR, Flag

__all__ = ["Command", "Overrides", "argument", "command", "option", "output_option", "sink"]

T = TypeVar("T")
_DEFAULTS = {DATA_DIR: Path("data"), RUNS_DIR: Path("runs")}


def argument(help: str, default: Any = ..., **more: Any) -> Any:
    """Declare a positional argument as the default of a parameter; `more` as for `typer.Argument`."""
    return typer.Argument(default, help=help, show_default=False, **more)


def option(default: T, help: str, *names: str, **more: Any) -> T:
    """Declare an option as the default of a parameter or of a dataclass's field; `more` as for `typer.Option`.

    It is named like the parameter unless `names` are given.
    """
    declaration: T = typer.Option(default, *names, help=help, **more)  # so that the default's type is checked
    return declaration


def output_option(help: str, default: Any = None, **more: Any) -> Any:
    """Declare the option of the file or folder that a command writes."""
    return option(default, help, "--output", "-o", **more)


def _as_path(dataset: str | None) -> str | None:
    """Return a data set whose name begins with a dash as a path, which commands can repeat without `--`."""
    return f"./{dataset}" if dataset and dataset.startswith("-") else dataset


_DATASET = argument(
    "cub, awa2, sun, toybirds, or a folder of your own.", autocompletion=_completion.datasets, callback=_as_path
)
Dataset = Annotated[str, _DATASET]
OptionalDataset = Annotated[str | None, _DATASET]
RunName = Annotated[
    str | None,
    typer.Option("--run", help="Run name or folder. (default: newest finished run)", autocompletion=_completion.runs),
]
STANDALONE = "--standalone"
Standalone = Annotated[
    bool, typer.Option(STANDALONE, help="Run as one process; ignore variables of Slurm and torchrun.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Return a parameter of a command for Typer; an option without a name gets that of the parameter."""
    if isinstance(default, OptionInfo) and not default.param_decls:
        default.param_decls = (f"--{name.replace('_', '-')}",)  # Typer would add --no-NAME to a flag
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _setting(flag: Flag) -> inspect.Parameter:
    """Return the parameter of a setting's flag, None unless the flag is given."""
    completion = _completion.choices(*flag.values) if flag.values else None
    declaration = option(None, flag.help, metavar=flag.metavar, autocompletion=completion)
    return _parameter(flag.parameter, flag.type | None, declaration)


_LAYERS = (
    _parameter("config", Path | None, option(None, "TOML file of settings, overriding svipctl.toml.")),
    _parameter(
        "assignments",
        list[str] | None,
        option(
            None,
            "Set any setting, for example optim.lr=1e-4. Repeatable.",
            "--set",
            metavar="KEY=VALUE",
            autocompletion=_completion.assignments,
        ),
    ),
)
_DRY_RUN = _parameter("dry_run", bool, option(False, "Print the plan and its requirements; do nothing."))
_OUTPUT = (
    _parameter("json", bool, option(False, "Print one JSON document on stdout.")),
    _parameter("quiet", bool, option(False, "Print only errors and machine-readable output.")),
    _parameter("debug", bool, option(False, "Show the traceback of an error.")),
)


@dataclass(frozen=True)
class Command:
    """A function and the flags that it shares with other commands."""

    function: Callable[..., None]
    settings: tuple[Flag, ...]
    layers: bool
    reads: Collection[str] | None

    @property
    def summary(self) -> str:
        """First line of the help."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def callback(self) -> Callable[..., None]:
        """Return the function for Typer: with every option in its signature, and the output configured.

        The parameter `overrides` receives the settings, `dry_run` the flag --dry-run, and one whose type is a dataclass
        the options of the dataclass's fields.
        """
        own = dict(inspect.signature(self.function, eval_str=True).parameters)
        dry_run = [_DRY_RUN] if own.pop("dry_run", None) else []
        takes_settings = own.pop("overrides", None) is not None
        groups = {name: own.pop(name).annotation for name, one in [*own.items()] if is_dataclass(one.annotation)}
        fields = {name: get_type_hints(kind, include_extras=True) for name, kind in groups.items()}
        shown = [_parameter(one.name, one.annotation, one.default) for one in own.values()]
        for name, types in fields.items():
            shown += [_parameter(field, type, getattr(groups[name], field)) for field, type in types.items()]
        shown += [*map(_setting, self.settings), *(_LAYERS if self.layers else ()), *dry_run, *_OUTPUT]

        def run(**given: Any) -> None:
            sink.json, sink.quiet, sink.debug = (given.pop(one.name) for one in _OUTPUT)
            named = {flag.key: given.pop(flag.parameter) for flag in self.settings}
            flags = {key: value for key, value in named.items() if value is not None}
            repeat_in_commands(
                {one.name: flags[one.key] for one, path in _DEFAULTS.items() if flags.get(one.key, path) != path}
            )
            overrides = Overrides(flags, given.pop("assignments", None) or (), given.pop("config", None), self.reads)
            for name, kind in groups.items():
                given[name] = kind(**{field: given.pop(field) for field in fields[name]})
            self.function(**given, **({"overrides": overrides} if takes_settings else {}))

        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__doc__ = (inspect.getdoc(self.function) or "").replace("Examples:\n", "Examples:\n\n\b\n")  # not refilled
        return run


def command(
    *settings: Flag, layers: bool = True, reads: Collection[str] | None = None
) -> Callable[[Callable[..., None]], Command]:
    """Declare a command with its shared flags; every command has --json, --quiet and --debug.

    Args:
        settings: Flags of the settings that it takes.
        layers: True if it has --config and --set.
        reads: Keys of the settings that it reads (`svipctl.settings.effects`); all if None.

    """
    return lambda function: Command(function, settings, layers, reads)
