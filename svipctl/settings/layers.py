"""Settings from their layers, each value with its origin.

Built-in defaults < preset (recipe, then data set, then backbone) < svipctl.toml < --config FILE < SVIPCTL_* environment < flags.
"""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from svipctl.datasets.names import BUILT_IN, OFFICIAL
from svipctl.errors import ConfigError, nearest
from svipctl.settings.schema import RecipeName, Section, Settings

PROJECT_FILE = "svipctl.toml"
ENVIRONMENT_PREFIX = "SVIPCTL_"
ENVIRONMENT = "environment"
"""The origin of what such variables say."""
BACKBONE = re.compile(r"[A-Za-z0-9_]+")
RECIPES: tuple[str, ...] = get_args(RecipeName)

Tree = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Layer:
    """Values of one origin, lower layers first."""

    origin: str
    values: Tree


@dataclass(frozen=True)
class Workspace:
    """The folders and the network access of a command, which no preset changes."""

    data_dir: Path
    runs_dir: Path
    offline: bool


@dataclass(frozen=True)
class Resolved:
    """The configuration of a run and where each value came from."""

    settings: Settings
    origins: Mapping[str, str]
    """Dotted key -> origin; keys that are not here have their built-in default."""


def resolve(
    dataset: str,
    *,
    flags: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Resolved:
    """Merge all layers and check the result.

    Args:
        dataset: Chooses the preset.
        flags: Dotted keys of the named flags; None values were not given.
        assignments: `key=value` of `--set`, on top of the named flags.
        config: File of `--config`.
        environment: `os.environ` or none of it.
        folder: Where `svipctl.toml` is looked for.

    Raises:
        ConfigError: With every unknown key and every bad value of all layers at once.

    """
    problems: list[str] = []
    own = _given_layers(flags, assignments, config, environment, folder, problems)
    own[-1].values["dataset"] = dataset

    chosen = next((layer for layer in reversed(own) if "recipe" in layer.values), None)
    recipe = "svipctl" if chosen is None else chosen.values["recipe"]
    if chosen is not None and recipe not in RECIPES:
        problems.append(f"recipe ({chosen.origin}): there is no recipe {recipe!r} ({nearest(str(recipe), RECIPES)})")
        chosen.values["recipe"] = recipe = "svipctl"
    presets = preset_layers(dataset, recipe)
    layers = [*presets, *backbone_layers(_backbone([*presets, *own]), recipe), *own]

    _drop_unknown(layers, problems)
    origins = {key: layer.origin for layer in layers for key in _flat(layer.values)}
    return Resolved(_validated(Settings, _merge(layers), origins, problems), origins)


def resolve_workspace(
    *,
    flags: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Workspace:
    """Return the folders and the network access of a command that has no data set, and so no preset.

    Args: As for `resolve`.

    Raises:
        ConfigError: With every unknown key, and every bad value among these settings, of all layers at once.

    """
    problems: list[str] = []
    layers = _given_layers(flags, assignments, config, environment, folder, problems)
    _drop_unknown(layers, problems)
    origins = {key: layer.origin for layer in layers for key in _flat(layer.values)}
    fields = {name: Settings.model_fields[name] for name in ("data_dir", "runs_dir", "offline")}
    model = create_model("Folders", __base__=Section, **{n: (f.annotation, f) for n, f in fields.items()})  # type: ignore[call-overload]
    values = {name: value for name, value in _merge(layers).items() if name in fields}
    return Workspace(**dict(_validated(model, values, origins, problems)))


def _given_layers(
    flags: Mapping[str, Any] | None,
    assignments: Sequence[str],
    config: Path | None,
    environment: Mapping[str, str] | None,
    folder: Path | None,
    problems: list[str],
) -> list[Layer]:
    """Return the layers above the presets: files, environment, flags."""
    paths = [path for path in ((folder or Path()) / PROJECT_FILE,) if path.is_file()]
    paths += [config] if config else []
    named = {key: value for key, value in (flags or {}).items() if value is not None}
    return [
        *(Layer(path.name, _read_toml(path, problems)) for path in paths),
        Layer(ENVIRONMENT, _from_environment(environment or {})),
        Layer("flag", _nested(named | _from_assignments(assignments, problems))),
    ]


def _drop_unknown(layers: Sequence[Layer], problems: list[str]) -> None:
    """Remove the keys that are no settings, and report each with the nearest known ones."""
    known = dict(known_keys())
    for layer in layers:
        for key in [key for key, value in _flat(layer.values).items() if not _is_known(key, value, known)]:
            problems.append(f"{key} ({layer.origin}): no such setting ({nearest(key, known)})")
            _remove(layer.values, key)


def _validated(model: type[M], values: Tree, origins: Mapping[str, str], problems: list[str]) -> M:
    """Return the values as a model.

    Raises:
        ConfigError: With the problems so far and those of the values.

    """
    settings = None
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        for detail in error.errors():
            key = ".".join(str(part) for part in detail["loc"])
            origin = next((o for k, o in origins.items() if k == key or key.startswith(f"{k}.")), "")
            shown = f" ({origin})" if origin else ""
            problems.append(
                f"{key}{shown}: {detail['msg'].removeprefix('Value error, ')}, got {detail['input']!r}"[:300]
            )
    if settings is None or problems:
        problems = list(dict.fromkeys(problems))
        raise ConfigError(
            f"the configuration has {len(problems)} error{'s' if len(problems) > 1 else ''}",
            why="\n".join(f"- {problem}" for problem in problems),
            todo="fix each where its brackets say; `svipctl config show` lists every setting",
        )
    return settings


def preset_layers(dataset: str, recipe: str) -> list[Layer]:
    """The preset of a recipe, then of a data set (`folder` for a folder of your own)."""
    name = dataset if dataset in (*OFFICIAL, *BUILT_IN) else "folder"
    presets = files("svipctl.settings") / "presets"
    of_recipe = tomllib.loads((presets / "recipes" / f"{recipe}.toml").read_text(encoding="utf-8"))
    of_dataset = tomllib.loads((presets / "datasets" / f"{name}.toml").read_text(encoding="utf-8"))
    return [
        Layer(f"recipe {recipe}", of_recipe),
        Layer(f"preset {name}", of_dataset.get("all", {})),
        Layer(f"preset {name}, {recipe}", of_dataset.get(recipe, {})),
    ]


def backbone_layers(backbone: str, recipe: str) -> list[Layer]:
    """The preset of a backbone that asks for other hyper-parameters than the data set's own; nothing for the others."""
    path = files("svipctl.settings") / "presets" / "backbones" / f"{backbone}.toml"
    if not BACKBONE.fullmatch(backbone) or not path.is_file():
        return []
    preset = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Layer(f"preset {backbone}", preset.get("all", {})),
        Layer(f"preset {backbone}, {recipe}", preset.get(recipe, {})),
    ]


def _backbone(layers: Sequence[Layer]) -> str:
    """What the uppermost layer that says it calls the backbone."""
    sections = (layer.values.get("model") for layer in reversed(layers))
    names = (section["backbone"] for section in sections if isinstance(section, dict) and "backbone" in section)
    return str(next(names, ""))


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key and its pydantic field, in the order of the schema."""
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            yield prefix + name, field
        else:
            yield from known_keys(section, f"{prefix}{name}.")


def known_choices() -> dict[str, list[str]]:
    """Return dotted key -> its values where there is a choice, empty where there is none."""
    return {key: _choices(field.annotation) for key, field in known_keys()}


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) in (Union, types.UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return ["true", "false"] if annotation is bool else []


def _section(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, types.UnionType):
        return None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def flatten(settings: Settings) -> dict[str, Any]:
    """Dotted key -> value of a configuration."""
    return {key: _at(settings, key) for key, _ in known_keys()}


def _at(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _merge(layers: Sequence[Layer]) -> Tree:
    """Deep-merge by pydantic-settings, the last layer winning."""

    class Merged(BaseSettings):
        """Settings fed by our layers only."""

        model_config = {"extra": "allow"}

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: PydanticBaseSettingsSource, **__: PydanticBaseSettingsSource
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, layer.values) for layer in reversed(layers))

    return Merged().model_extra or {}


def _read_toml(path: Path, problems: list[str]) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"there is no configuration file {path}")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path} cannot be read: {error}")
    return {}


def _from_environment(environment: Mapping[str, str]) -> Tree:
    """SVIPCTL_OPTIM__LR=1e-4 is optim.lr; SVIPCTL_DATA_DIR is data_dir."""
    given = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and value
    }
    return _nested({key: parse_setting(key, value) for key, value in given.items()})


def _from_assignments(assignments: Sequence[str], problems: list[str]) -> Tree:
    values: Tree = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            problems.append(f"--set {assignment}: write it as key=value")
        else:
            values[key.strip()] = parse_setting(key.strip(), value.strip())
    return values


def parse_setting(key: str, text: str) -> Any:
    """The value of a setting that is written as text: where text is wanted, `5e3` is a name and `2024` a folder.

    Quotes are TOML's there too.
    """
    field = dict(known_keys()).get(key)
    is_text = field is not None and field.annotation in (str, Path) and text[:1] not in ("'", '"')
    return text if is_text else parse_value(text)


def parse_value(text: str) -> Any:
    """A TOML value (number, true, "text", [1, 2], {a = 1}), or else the text itself."""
    if "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _nested(flat: Mapping[str, Any]) -> Tree:
    tree: Tree = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            inner = place.setdefault(section, {})
            place = inner if isinstance(inner, dict) else place
        place[last] = value
    return tree


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = prefix + name
        if isinstance(value, dict) and value and key != "model.backbone_args":
            flat |= _flat(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def _is_known(key: str, value: Any, known: Mapping[str, Any]) -> bool:
    """Whether it is a setting, or a table of settings in which every line is commented out."""
    is_empty_table = value == {} and any(name.startswith(f"{key}.") for name in known)
    return key in known or key.startswith("model.backbone_args") or is_empty_table


def _remove(tree: Tree, key: str) -> None:
    """Take a dotted key out of the tree, with the sections that it leaves empty."""
    if key in tree:
        del tree[key]
        return
    section, _, rest = key.partition(".")
    _remove(tree[section], rest)
    if not tree[section]:
        del tree[section]
