"""Handle dotted keys of settings, such as `optim.lr`: list them, parse their values, and build trees of values."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from svipctl.settings.schema import Settings

Tree = dict[str, Any]
"""Values in nested sections, as in a TOML file."""

WHERE_AND_HOW = frozenset(
    [
        *("gpu", "offline", "name", "data_dir", "runs_dir", "data.workers", "train.save_every"),
        *("train.accumulate", "train.checkpointing", "train.compile", "train.tensorboard", "train.trackers"),
        *("eval.batch_size", "eval.bootstrap", "eval.selection"),
    ]
)
"""Settings that decide where and how fast a run computes, not what is trained: a resumed run takes the new command's.
"""


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key and its pydantic field, in the order of the schema."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from known_keys(annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def full_keys(name: str) -> list[str]:
    """Return the settings of that name, or else those whose last part it is; an unknown name is returned unchanged."""
    known = [key for key, _ in known_keys()]
    ends = [key for key in known if key.rpartition(".")[2] == name]
    return [name] if name in known or not ends else ends


def known_choices() -> dict[str, list[str]]:
    """Return dotted key -> its choices, empty for a setting without choices."""
    return {key: _choices(field.annotation) for key, field in known_keys()}


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return ["true", "false"] if annotation is bool else []


def flatten(settings: Settings) -> dict[str, Any]:
    """Return dotted key -> value of a configuration."""
    return {key: attrgetter(key)(settings) for key, _ in known_keys()}


def parse_setting(key: str, text: str) -> Any:
    """Return the value of a setting that is written as text: for text settings `5e3` is a name and `2024` a folder.

    Quotes are those of TOML.
    """
    field = dict(known_keys()).get(key)
    is_text = field is not None and field.annotation in (str, Path) and text[:1] not in ("'", '"')
    return text if is_text else parse_value(text)


def parse_value(text: str) -> Any:
    """Return a TOML value (number, true, "text", [1, 2], {a = 1}), or else the text itself."""
    if "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def nested(flat: Mapping[str, Any]) -> Tree:
    """Return values by dotted key as a tree of sections."""
    tree: Tree = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            inner = place.setdefault(section, {})
            place = inner if isinstance(inner, dict) else place
        place[last] = _added(place.get(last), value)
    return tree


def _added(before: Any, value: Any) -> Any:
    """Return a value; a section adds to its keys given before, and is a copy, so that it stays the caller's."""
    if not isinstance(value, dict):
        return value
    earlier = before if isinstance(before, dict) else {}
    return {**earlier, **{key: _added(earlier.get(key), one) for key, one in value.items()}}


def flat_values(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a tree of sections as values by dotted key; the arguments of the backbone stay one value."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = prefix + (f'"{name}"' if "." in name else name)  # quoted in TOML: not a setting
        if isinstance(value, dict) and value and key != "model.backbone_args":
            flat |= flat_values(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def is_known(key: str, value: Any, known: Mapping[str, Any]) -> bool:
    """Return True if a key is a setting, or a table of settings in which every line is commented out."""
    is_empty_table = value == {} and any(name.startswith(f"{key}.") for name in known)
    return key in known or key.startswith("model.backbone_args") or is_empty_table
