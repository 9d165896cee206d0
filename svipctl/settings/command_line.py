"""Build the command line of a configuration: the flags of what differs from the presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from svipctl.datasets.names import NAMED
from svipctl.quoting import shell_command
from svipctl.settings.flags import TRAINING_BY_KEY
from svipctl.settings.keys import flatten, parse_setting
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings

_FOUND_IN_DEVELOPMENT = ("train.epochs", "train.select")


def differences_from_presets(settings: Settings) -> dict[str, Any]:
    """Return dotted key -> value of the settings that differ from the presets of data set, recipe and backbone."""
    flags = {"recipe": settings.recipe, "model.backbone": settings.model.backbone}
    theirs = flatten(resolve(settings.dataset, flags=flags).settings)
    # Settings that choose a preset are compared with their defaults.
    theirs["model.backbone"] = resolve(settings.dataset, flags={"recipe": settings.recipe}).settings.model.backbone
    theirs["recipe"] = resolve(settings.dataset).settings.recipe
    if settings.dataset not in NAMED:
        theirs["model.backbone"] = None  # the default of a folder depends on what is installed
    return {key: value for key, value in flatten(settings).items() if value != theirs[key]}


def setting_arguments(values: Mapping[str, Any]) -> list[str]:
    """Return the flags that give these settings: the named ones, and `--set key=value` for all others.

    Args:
        values: Dotted key -> value; None has no flag.

    """
    words: list[str] = []
    for key, value in values.items():
        flag = TRAINING_BY_KEY.get(key)
        if value is None:
            continue
        if flag is None or value is False:
            words += ["--set", assignment(key, value)]
        else:
            words += [flag.name] if value is True else [flag.name, str(value)]
    return words


def folder_arguments(settings: Settings) -> list[str]:
    """Return the flags of the folders of data and runs, unless they are the default ones."""
    folders = {"data_dir": settings.data_dir, "runs_dir": settings.runs_dir}
    return setting_arguments({key: path for key, path in folders.items() if path != Settings.model_fields[key].default})


def train_arguments(dataset: str, values: Mapping[str, Any], development: Sequence[str] = ()) -> list[str]:
    """Return the arguments of `svipctl` that train with these settings.

    Args:
        dataset: Name or folder.
        values: Dotted key -> value.
        development: Names of the development runs of a final run, which give its epoch count.

    """
    words = ["train", dataset]
    if development:
        words += ["--final", *(word for name in development for word in ("--from-development", name))]
        values = {key: value for key, value in values.items() if key not in _FOUND_IN_DEVELOPMENT}
    return words + setting_arguments(values)


def train_command(settings: Settings, development: Sequence[str] = ()) -> str:
    """Return the `svipctl train ...` command of a configuration, for a folder without svipctl.toml and environment.

    Args:
        settings: Configuration of the run.
        development: Names of the development runs of a final run, which give its epoch count.

    """
    different = differences_from_presets(settings)
    return shell_command(*train_arguments(settings.dataset, different, development))


def assignment(key: str, value: Any) -> str:
    """Return `key=value` as `--set` reads it: text is quoted only if TOML would read it as another type."""
    if isinstance(value, str) and parse_setting(key, value) == value:
        return f"{key}={value}"
    if isinstance(value, float) and float(f"{value:g}") == value:  # every float setting takes 5 for 5.0
        return f"{key}={value:g}"
    return f"{key}={toml_value(value)}"


def toml_text(values: Mapping[str, Any], descriptions: Mapping[str, str], origins: Mapping[str, str]) -> str:
    """Return a configuration as a TOML file with a line for each setting.

    Args:
        values: Dotted key -> value; None has no line of its own, only a comment.
        descriptions: Dotted key -> comment above the line; may be empty.
        origins: Dotted key -> comment behind the value; may be empty.

    """
    shown = {
        key: f"# {key} = (not set)" if value is None else f"{key} = {toml_value(value)}"
        for key, value in values.items()
    }
    width = max(map(len, shown.values()))
    lines: list[str] = []
    for key, line in shown.items():
        lines += [f"# {descriptions[key]}"] if descriptions else []
        lines.append(f"{line.ljust(width)}  # {origins[key]}" if origins else line)
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Return a value in TOML, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {toml_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(toml_value(inner) for inner in value) + "]"
    value = str(value) if isinstance(value, Path) else value
    return tomli_w.dumps({"v": value}).partition("=")[2].strip()


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).partition("=")[0].strip()
