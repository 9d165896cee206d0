"""Declare commands with their shared flags by a decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, is_dataclass
from typing import Any

from svipctl.cli import _options
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.settings.flags import Flag


@dataclass(frozen=True)
class Command:
    """A function and the flags that it shares with other commands."""

    function: Callable[..., None]
    settings: tuple[Flag, ...]
    dry_run: bool
    layers: bool
    reads: str | None = None

    @property
    def summary(self) -> str:
        """First line of the help."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def read_settings(self) -> Collection[str] | None:
        """Keys of the settings that the command reads, all if None; importing them takes too long for help."""
        from svipctl.settings import effects

        found: Collection[str] | None = getattr(effects, self.reads) if self.reads else None
        return found

    def callback(self) -> Callable[..., None]:
        """Return the function for Typer: with every option in its signature, and the output configured.

        A parameter of type `Overrides` receives the settings, one whose type is a dataclass receives the options of the
        dataclass's fields.
        """
        own = inspect.signature(self.function, eval_str=True).parameters.values()
        groups: dict[str, Any] = {one.name: one.annotation for one in own if is_dataclass(one.annotation)}
        fields = {name: _fields(kind) for name, kind in groups.items() if kind is not Overrides}
        shown = [one for one in own if one.name not in groups and one.name != "dry_run"]
        shown += [one for group in fields.values() for one in group]
        shown += [_options.setting_parameter(flag) for flag in self.settings]
        shown += [_options.CONFIG, _options.SET] if self.layers else []
        shown += [_options.DRY_RUN] if self.dry_run else []

        def run(**given: Any) -> None:
            sink.json, sink.quiet, sink.debug = (given.pop(one.name) for one in _options.OUTPUT)
            named = {flag.key: given.pop(flag.parameter) for flag in self.settings}
            flags = {key: value for key, value in named.items() if value is not None}
            assignments, config = given.pop("assignments", None) or (), given.pop("config", None)
            overrides = Overrides(flags, assignments, config, self.read_settings if self.layers else None)
            for name, kind in groups.items():
                is_settings = kind is Overrides
                given[name] = (
                    overrides if is_settings else kind(**{one.name: given.pop(one.name) for one in fields[name]})
                )
            self.function(**given)

        run.__signature__ = inspect.Signature([*shown, *_options.OUTPUT])  # type: ignore[attr-defined]
        run.__doc__ = (inspect.getdoc(self.function) or "").replace("Examples:\n", "Examples:\n\n\b\n")  # not refilled
        return run


def command(
    *settings: Flag, dry_run: bool = False, layers: bool = True, reads: str | None = None
) -> Callable[[Callable[..., None]], Command]:
    """Declare a command with its shared flags; every command has --json, --quiet and --debug.

    Args:
        settings: Flags of the settings that it takes.
        dry_run: True if it has --dry-run, its parameter `dry_run`.
        layers: True if it has --config and --set.
        reads: Name of the settings that it reads, in `svipctl.settings.effects`; all if None.

    """
    return lambda function: Command(function, settings, dry_run, layers, reads)


def _fields(kind: type) -> list[inspect.Parameter]:
    """Return the options of a dataclass's fields."""
    return [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for one in inspect.signature(kind, eval_str=True).parameters.values()
    ]
