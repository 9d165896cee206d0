"""Implement `svipctl config show`."""

from __future__ import annotations

from json import dumps, loads
from typing import Annotated

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import ConfigError
from svipctl.settings import flags


@command(flags.RECIPE, flags.BACKBONE)
def show(
    dataset: _options.Dataset = "toybirds",
    *,
    overrides: Overrides,
    origin: Annotated[bool, typer.Option("--origin", help="Show the origin of each value.")] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Show the meaning of each setting.")] = False,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="PRESET",
            help="Show only differences from this preset: a data set, a recipe, or both as cub,paper.",
            autocompletion=_completion.presets,
        ),
    ] = None,
) -> None:
    """Print every setting as `train` would use it.

    The output is TOML and can be saved as a file for --config.

    Examples:
        svipctl config show cub
        svipctl config show cub --backbone lite --describe
        svipctl config show cub --recipe reference --origin
        svipctl config show cub --diff reference

    """
    if origin and diff is not None:
        raise ConfigError("--origin and --diff cannot be combined", todo="use one of them")

    from svipctl.datasets.names import own_folder
    from svipctl.settings.command_line import toml_text
    from svipctl.settings.keys import flatten, known_keys
    from svipctl.settings.preset import DATASETS, preset_settings

    if dataset not in DATASETS:
        own_folder(dataset)
    found = overrides.resolve(dataset)
    flat = flatten(found.settings)
    if diff is not None:
        shown = {key: dumps(value, default=str) for key, value in flat.items()}
        other = flatten(preset_settings(diff, dataset=dataset, recipe=found.settings.recipe))
        theirs = {key: dumps(value, default=str) for key, value in other.items()}
        different = {key: (theirs[key], shown[key]) for key in shown if theirs[key] != shown[key]}
        for key, (their, own) in different.items():
            sink.data(f"{key} = {own}  # {their} in {diff}")
        if not different:
            sink.note(f"no differences from {diff}")
        pairs = {key: {"preset": loads(their), "value": loads(own)} for key, (their, own) in different.items()}
        sink.document({"preset": diff, "differences": pairs})
        return
    origins = {key: found.origins.get(key, "default") for key in flat}
    descriptions = {key: " ".join((field.description or "").split()) for key, field in known_keys()}
    document: dict[str, object] = {"settings": found.settings.model_dump(mode="json")}
    document |= {"origins": origins} if origin else {}
    sink.document(document | ({"descriptions": descriptions} if describe else {}))
    sink.data(toml_text(flat, descriptions if describe else {}, origins if origin else {}))
