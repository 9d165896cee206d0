"""`svipctl config show`."""

from __future__ import annotations

from json import dumps as json_text
from typing import Annotated

import typer

from svipctl.cli import options
from svipctl.cli.output import sink

app = typer.Typer(help="The configuration and where it comes from.", no_args_is_help=True)


@app.command()
def show(
    dataset: options.Dataset = "toybirds",
    recipe: options.Recipe = None,
    origin: Annotated[bool, typer.Option("--origin", help="Beside each value, the layer it came from.")] = False,
    config: options.Config = None,
    assignments: options.Set = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print every setting as `train` would use it.

    Examples: `svipctl config show cub`, `svipctl config show cub --recipe reference --origin`
    """
    from svipctl.cli.configure import resolved
    from svipctl.settings.layers import flatten

    found = resolved(dataset, config=config, assignments=assignments, recipe=recipe)
    values = found.settings.model_dump(mode="json")
    origins = {key: found.origins.get(key, "default") for key in flatten(found.settings)}
    sink.document({"settings": values, "origins": origins} if origin else {"settings": values})
    if sink.json:
        return
    shown = {key: json_text(value, default=str) for key, value in flatten(found.settings).items()}
    width = max(len(f"{key} = {value}") for key, value in shown.items())
    for key, value in shown.items():
        line = f"{key} = {value}"
        sink.say(f"{line.ljust(width)}  # {origins[key]}" if origin else line)
