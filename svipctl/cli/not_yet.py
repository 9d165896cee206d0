"""Commands that are named in the contract and not built yet: each says so and exits with code 2."""

from __future__ import annotations

import typer

from svipctl.errors import ConfigError

_COMMANDS = {
    "reproduce": "The paper's tables with seeds, controls and baselines.",
}
_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def add_to(app: typer.Typer) -> None:
    """Add every missing command to the app."""
    for name, help_text in _COMMANDS.items():
        app.command(name, help=f"{help_text} (Not built yet.)", context_settings=_ANYTHING)(_refusal(name))


def _refusal(name: str):  # type: ignore[no-untyped-def]
    def refuse() -> None:
        raise ConfigError(f"`svipctl {name}` is not built yet", todo="`svipctl --help` lists what is")

    return refuse
