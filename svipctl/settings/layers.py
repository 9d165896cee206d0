"""Merge the layers of settings, and keep the origin of each value.

Built-in defaults < preset (recipe, then data set, then backbone) < svipctl.toml < --config FILE < SVIPCTL_*
environment < flags.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypedDict, Unpack, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from svipctl.datasets.names import NAMED
from svipctl.errors import ConfigError, SvipError, nearest
from svipctl.model import lite_weights
from svipctl.quoting import shell_command
from svipctl.settings.keys import (
    Tree,
    flat_values,
    full_keys,
    is_known,
    known_choices,
    known_keys,
    nested,
    parse_setting,
)
from svipctl.settings.schema import RecipeName, Settings
from svipctl.text_files import read_text
from svipctl.types import FEATURES

PROJECT_FILE = "svipctl.toml"
ENVIRONMENT_PREFIX = "SVIPCTL_"
ENVIRONMENT = "environment"
"""Origin of values from environment variables."""
REPLACED = (
    *("model.backbone", "model.weights", "model.init_from", "model.backbone_args", "model.stem"),
    *("data.resize", "data.test_resize", "data.crop_scale", "data.normalise", "data.keep_features"),
)
"""Settings of networks of images, which have no effect with features of a file."""
BACKBONE = re.compile(r"[A-Za-z0-9_]+")
RECIPES: tuple[str, ...] = get_args(RecipeName)
_PRESETS = files("svipctl.settings") / "presets"


@dataclass(frozen=True)
class Layer:
    """Values of one origin, lower layers first."""

    origin: str
    values: Tree


@dataclass(frozen=True)
class Workspace:
    """The folders and the network access of a command, which presets do not change."""

    data_dir: Path
    runs_dir: Path
    offline: bool


@dataclass(frozen=True)
class Resolved:
    """The configuration of a run and the origin of each value."""

    settings: Settings
    origins: Mapping[str, str]
    """Dotted key -> origin; keys that are missing here have their built-in default."""


class Given(TypedDict, total=False):
    """The values of the layers above the presets."""

    flags: Mapping[str, Any]
    """Dotted key -> value of the named flags; None if a flag is not given."""
    assignments: Sequence[str]
    """`key=value` of `--set`, on top of the named flags."""
    config: Path | None
    """The file of `--config`."""
    environment: Mapping[str, str]
    """`os.environ`; without it the environment is not read."""
    folder: Path
    """The folder of `svipctl.toml`; the working folder if it is not given."""


def resolve(dataset: str, **given: Unpack[Given]) -> Resolved:
    """Merge all layers and check the result.

    Args:
        dataset: Name or folder of the data set, which chooses the preset.
        given: The layers above the presets.

    Raises:
        ConfigError: Lists every unknown key and every bad value of all layers.

    """
    problems: list[str] = []
    own = _given_layers(given, problems)
    if (other := own[-1].values.get("dataset", dataset)) != dataset:
        problems.append(f"dataset (flag): the data set is {dataset!r}, and {other!r} in the settings")
    own[-1].values["dataset"] = dataset

    chosen = next((layer for layer in reversed(own) if "recipe" in layer.values), None)
    if _highest(own, "data", "features"):
        _use_features(own, problems)
    recipe = default_recipe(dataset, _highest(own, "model", "backbone")) if chosen is None else chosen.values["recipe"]
    if chosen is not None and recipe not in RECIPES:
        problems.append(f"recipe ({chosen.origin}): there is no recipe {recipe!r} ({nearest(str(recipe), RECIPES)})")
        chosen.values["recipe"] = recipe = "svipctl"
    presets = [Layer("default", {"recipe": recipe}), *preset_layers(dataset, recipe)]
    backbone = _highest([*presets, *own], "model", "backbone")
    values, origins = _merged([*presets, *backbone_layers(backbone, recipe), *own], problems)
    return Resolved(_validated(values, origins, problems), origins)


def resolve_workspace(**given: Unpack[Given]) -> Workspace:
    """Return the folders and the network access of a command that has no data set, and so no preset.

    Args: As for `resolve`.

    Raises:
        ConfigError: With every unknown key, and every bad value among these settings, of all layers at once.

    """
    problems: list[str] = []
    layers = _given_layers(given, problems)
    merged, origins = _merged(layers, problems)
    values = {"dataset": ""} | {key: merged[key] for key in ("data_dir", "runs_dir", "offline") if key in merged}
    settings = _validated(values, origins, problems)
    return Workspace(settings.data_dir, settings.runs_dir, settings.offline)


def _given_layers(given: Given, problems: list[str]) -> list[Layer]:
    """Return the layers above the presets: files, environment, flags."""
    if unknown := given.keys() - Given.__annotations__.keys():
        raise TypeError(f"there is no argument {', '.join(sorted(unknown))}")  # a typo must not change a setting
    paths = [path for path in (given.get("folder", Path()) / PROJECT_FILE,) if os.path.lexists(path)]
    paths += [config] if (config := given.get("config")) else []
    named = {key: value for key, value in given.get("flags", {}).items() if value is not None}
    return [
        *(Layer(path.name, _read_toml(path, problems)) for path in paths),
        Layer(ENVIRONMENT, _from_environment(given.get("environment", {}), problems)),
        Layer("flag", nested(named | _from_assignments(given.get("assignments", ()), problems))),
    ]


def _merged(layers: Sequence[Layer], problems: list[str]) -> tuple[Tree, dict[str, str]]:
    """Return the values of all layers and their origins; report each unknown key with the most similar ones."""
    known, origins, trees = dict(known_keys()), dict[str, str](), list[Tree]()
    for layer in layers:
        values = flat_values(layer.values)
        for key in [key for key, value in values.items() if not is_known(key, value, known)]:
            problems.append(f"{key} ({layer.origin}): no such setting ({nearest(key, known)})")
            del values[key]
        origins |= dict.fromkeys(values, layer.origin)
        trees.append(nested(values))
    return _Layered(trees=trees).model_extra or {}, origins


def _validated(values: Tree, origins: Mapping[str, str], problems: list[str]) -> Settings:
    """Validate the values and return them as settings.

    Raises:
        ConfigError: Lists the problems so far and those of the values.

    """
    choices, settings, reported = known_choices(), None, set[str]()
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for detail in error.errors():
            key = ".".join(str(part) for part in detail["loc"])
            reported.add(re.sub(r"\.\d+$", "", key))
            origin = next((o for k, o in origins.items() if k == key or key.startswith(f"{k}.")), "")
            shown = f" ({origin})" if origin else ""
            problems.append(f"{key}{shown}: {_in_plain_words(detail)}"[:300])
    for key, value in flat_values(values).items():
        is_switch = any(isinstance(one, bool) for one in (value if isinstance(value, list | tuple) else [value]))
        # pydantic reads them as the numbers 1 and 0; earlier runs have them for train.checkpointing.
        if is_switch and "true" not in choices.get(key, ["true"]) and key not in {"train.checkpointing", *reported}:
            problems.append(f"{key} ({origins.get(key, '')}): true and false are not values of this setting")
    if settings is None or problems:
        problems = list(dict.fromkeys(problems))
        raise ConfigError(
            f"the configuration has {len(problems)} error{'s' if len(problems) > 1 else ''}",
            why="\n".join(f"- {problem}" for problem in problems),
            todo=f"fix these, or list all settings with their sources: {shell_command('config', 'show', '--origin')}",
        )
    return settings


def _in_plain_words(detail: ErrorDetails) -> str:
    """Return an error of pydantic as the end of a sentence about a setting."""
    message, value = detail["msg"], detail["input"]
    if isinstance(value, dict):  # a rule about several settings of a section
        return message.removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{message.removeprefix('Value error, ')}, got {value!r}"
    return f"{message.replace('Input should be', 'must be').partition(', unable to')[0]}, not {value!r}"


def default_recipe(dataset: str, backbone: str) -> RecipeName:
    """Return the default recipe: the strongest on photographs, or the corrected method of the paper."""
    return "hybrid" if backbone in ("lite", FEATURES) or dataset not in NAMED else "svipctl"


def preset_layers(dataset: str, recipe: str) -> list[Layer]:
    """Return the preset of a recipe, then of a data set (`folder` for a folder of your own)."""
    name = dataset if dataset in NAMED else "folder"
    installed = {"model": {"backbone": lite_weights.NAME}} if name == "folder" and lite_weights.is_installed() else {}
    return [
        Layer(f"recipe {recipe}", _read_preset("recipes", recipe)),
        *_by_recipe("datasets", name, recipe),
        Layer(f"preset {name}, lite is installed", installed),
    ]


def backbone_layers(backbone: str, recipe: str) -> list[Layer]:
    """Return the preset of a backbone whose hyper-parameters differ from the data set's; none for other backbones."""
    if not BACKBONE.fullmatch(backbone) or not (_PRESETS / "backbones" / f"{backbone}.toml").is_file():
        return []
    return _by_recipe("backbones", backbone, recipe)


def _by_recipe(folder: str, name: str, recipe: str) -> list[Layer]:
    """Return the values that a preset sets for every recipe, then those for this one."""
    preset = _read_preset(folder, name)
    return [
        Layer(f"preset {name}", preset.get("all", {})),
        Layer(f"preset {name}, {recipe}", preset.get(recipe, {})),
    ]


def _read_preset(folder: str, name: str) -> Tree:
    return tomllib.loads((_PRESETS / folder / f"{name}.toml").read_text(encoding="utf-8"))


def _highest(layers: Sequence[Layer], section: str, key: str) -> str:
    """Return the value of the highest layer that sets a key of a section, else an empty text."""
    sections = (layer.values.get(section) for layer in reversed(layers))
    return str(next((one[key] for one in sections if isinstance(one, dict) and key in one), ""))


def _use_features(own: list[Layer], problems: list[str]) -> None:
    """Remove the settings that features of a file replace from all layers; on the command line they are a problem."""
    for layer in own:
        for key in REPLACED:
            section, _, name = key.partition(".")
            values = layer.values.get(section)
            given = values.pop(name, "") if isinstance(values, dict) else ""
            if layer is own[-1] and given not in ("", "none", FEATURES):
                problems.append(f"{key} (flag): the features of data.features replace it, omit it")
    own.insert(0, Layer("data.features", {"model": {"backbone": FEATURES}}))


class _Layered(BaseSettings):
    """The values of layers, merged section by section; later layers win."""

    model_config = SettingsConfigDict(extra="allow")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return one source per layer, the highest first; the environment is one of our layers."""
        trees = init_settings()["trees"]
        return tuple(InitSettingsSource(settings_cls, tree) for tree in reversed(trees))


def _read_toml(path: Path, problems: list[str]) -> Tree:
    try:
        return tomllib.loads(read_text(path, what="configuration file"))
    except SvipError as error:
        is_missing = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
        reason = ": ".join(part for part in (error.what, error.why) if part)
        problems.append(error.what if is_missing else f"{path} cannot be read: {reason}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problems.append(f"{path} cannot be read: {error}")
    return {}


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> Tree:
    """Return the settings of environment variables: SVIPCTL_OPTIM__LR is optim.lr, SVIPCTL_DATA_DIR is data_dir."""
    given: Tree = {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and value:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            parsed = parse_setting(key, value)
            if given.setdefault(key, parsed) != parsed:
                problems.append(
                    f"{key} ({ENVIRONMENT}): two variables set it, which differ in upper and lower case only"
                )
    return nested(given)


def _from_assignments(assignments: Sequence[str], problems: list[str]) -> Tree:
    values: Tree = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        keys = full_keys(name.strip())
        if not equals:
            problems.append(f"--set {assignment}: write it as key=value")
        elif len(keys) > 1:
            problems.append(f"--set {assignment}: {name.strip()!r} is ambiguous: use {' or '.join(keys)}")
        else:
            values.pop(keys[0], None)  # the last one is in force, also over a section given in between
            values[keys[0]] = parse_setting(keys[0], value.strip())
    return values
