"""Implement `svipctl config show`."""

from __future__ import annotations

from json import dumps, loads

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, command, option, sink
from svipctl.errors import ConfigError
from svipctl.settings import flags


@command(flags.RECIPE, flags.BACKBONE)
def show(
    dataset: Dataset = "toybirds",
    *,
    overrides: Overrides,
    origin: bool = option(False, "Show the origin of each value."),
    describe: bool = option(False, "Show the meaning of each setting."),
    diff: str | None = option(
        None,
        "Show only differences from this preset: a data set, a recipe, or both as cub,paper.",
        metavar="PRESET",
        autocompletion=_completion.presets,
    ),
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

    from svipctl.datasets.names import check_dataset
    from svipctl.settings.command_line import toml_text
    from svipctl.settings.keys import flatten, known_keys
    from svipctl.settings.preset import preset_settings

    if dataset != "folder":
        check_dataset(dataset)
    found = overrides.resolve(dataset)
    flat = flatten(found.settings)
    if diff is not None:
        preset = flatten(preset_settings(diff, dataset=dataset, recipe=found.settings.recipe))
        differences = {}
        for key, value in flat.items():
            theirs, own = (dumps(one, default=str) for one in (preset[key], value))
            if theirs != own:
                sink.data(f"{key} = {own}  # {theirs} in {diff}")
                differences[key] = {"preset": loads(theirs), "value": loads(own)}
        if not differences:
            sink.note(f"no differences from {diff}")
        sink.document({"preset": diff, "differences": differences})
        return
    origins = {key: found.origins.get(key, "default") for key in flat}
    descriptions = {key: " ".join((field.description or "").split()) for key, field in known_keys()}
    document: dict[str, object] = {"settings": found.settings.model_dump(mode="json")}
    document |= {"origins": origins} if origin else {}
    sink.document(document | ({"descriptions": descriptions} if describe else {}))
    sink.data(toml_text(flat, descriptions if describe else {}, origins if origin else {}))
