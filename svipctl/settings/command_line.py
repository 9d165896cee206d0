"""The command line that gives a configuration: what differs from the presets, as flags."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from svipctl.settings.flags import TRAINING_BY_KEY
from svipctl.settings.layers import flatten, parse_setting, resolve
from svipctl.settings.schema import Settings

_FOUND_IN_DEVELOPMENT = ("train.epochs", "train.select")


def differences_from_presets(settings: Settings) -> dict[str, Any]:
    """Dotted key -> value of what the presets of data set, recipe and backbone do not give."""
    flags = {"recipe": settings.recipe, "model.backbone": settings.model.backbone}
    theirs = flatten(resolve(settings.dataset, flags=flags).settings)
    # What chooses a preset is compared with what stands there when nobody chooses.
    theirs["model.backbone"] = resolve(settings.dataset, flags={"recipe": settings.recipe}).settings.model.backbone
    theirs["recipe"] = resolve(settings.dataset).settings.recipe
    return {key: value for key, value in flatten(settings).items() if value != theirs[key]}


def train_command(settings: Settings, development: Sequence[str] = ()) -> str:
    """`svipctl train ...` with which a run of this configuration is trained, without svipctl.toml and environment.

    Args:
        settings: Of the run.
        development: Names of the development runs of a final run, which give its epoch count.

    """
    different = differences_from_presets(settings)
    words = ["svipctl", "train", settings.dataset]
    if development:
        words.append("--final")
        words += [word for name in development for word in ("--from-development", name)]
    for key, value in different.items():
        if value is None or (development and key in _FOUND_IN_DEVELOPMENT):
            continue
        flag = TRAINING_BY_KEY.get(key)
        if flag is None or value is False:
            words += ["--set", f"{key}={_written(key, value)}"]
        else:
            words += [flag.name] if value is True else [flag.name, str(value)]
    return shlex.join(words)


def _written(key: str, value: Any) -> str:
    """A value as `--set` reads it: text as it is unless TOML would take it for something else."""
    if isinstance(value, str):
        return value if parse_setting(key, value) == value else _toml(value)
    return _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return tomli_w.dumps({"v": value}).partition("=")[2].strip()


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).partition("=")[0].strip()
