"""Define the values that `svipctl tune` chooses settings from: ranges and lists, by dotted key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Any

from svipctl.datasets.benchmark import repeated
from svipctl.errors import ConfigError, nearest
from svipctl.quoting import shell_words
from svipctl.settings.command_line import toml_value
from svipctl.settings.keys import WHERE_AND_HOW, flatten, full_keys, parse_value
from svipctl.settings.layers import Resolved

if TYPE_CHECKING:
    from optuna import Trial

DECIDED = WHERE_AND_HOW | {"dataset", "recipe", "seed", "train.fold", "train.monitor", "train.select"}
"""Settings that a study cannot vary."""
_FIXED = DECIDED | {"precision", "data.allow_partial", "model.init_from"}
_FACTORS = {
    "optim.lr": (0.1, 10.0, True),
    "train.epochs": (0.5, 2.0, False),
    "method.scale": (0.3, 3.0, False),
    "method.fusion_weight": (0.0, 3.0, False),
    "method.prototype_weight": (0.0, 3.0, False),
    "method.whitening_shrinkage": (0.1, 10.0, True),
}
"""Setting -> factors on its configured value that define its range, and True for a logarithmic range."""


@dataclass(frozen=True)
class Dimension:
    """The values of one setting: a list of choices, or a range that includes its ends."""

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def corners(self) -> tuple[Any, ...]:
        """All choices, or the ends of the range."""
        return self.choices or (self.low, self.high)

    def __contains__(self, value: Any) -> bool:
        return value in self.choices if self.choices else self.low <= value <= self.high

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(toml_value, self.choices))
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}"

    def encoded(self, value: Any) -> Any:
        """Return a value as a study stores it: a choice as text, which may be any TOML value."""
        return toml_value(value) if self.choices else value

    def suggest(self, trial: Trial, key: str) -> Any:
        """Return the value that a trial uses."""
        if self.choices:
            return parse_value(trial.suggest_categorical(key, [toml_value(choice) for choice in self.choices]))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


def search_space(configured: Resolved, given: Sequence[str]) -> dict[str, Dimension]:
    """Return setting -> values.

    Args:
        configured: The configuration that is varied.
        given: Each `KEY=LOW:HIGH[:log]` or `KEY=A,B,C`. By default the learning rate, epochs and scale, and where
            the method has them the closed forms' weights and the whitening's shrinkage, around their configured values;
            settings of flags stay fixed.

    Raises:
        ConfigError: A text cannot be parsed, or its setting does not exist, cannot be varied or has two texts.

    """
    values = flatten(configured.settings)
    if given:
        parsed = [_parsed(text, values) for text in given]
        for key in repeated(key for key, _ in parsed):
            raise ConfigError(f"--search names {key} twice", todo="pass one range or list for each setting")
        return dict(parsed)
    method = configured.settings.method
    unused = {"method.fusion_weight"} if method.fusion == "none" else set()
    unused |= set() if method.prototype_weight else {"method.prototype_weight"}
    unused |= {"method.whitening_shrinkage"} if method.class_attributes != "whitened" else set()
    factors = {key: one for key, one in _FACTORS.items() if key not in unused and configured.origins.get(key) != "flag"}
    return {key: _around(values[key], low, high, log) for key, (low, high, log) in factors.items()}


def _parsed(text: str, settings: Mapping[str, Any]) -> tuple[str, Dimension]:
    name, _, values = text.partition("=")
    keys = full_keys(name.strip())
    if len(keys) > 1 or keys[0] not in settings:
        if len(keys) > 1:
            raise ConfigError(f"--search {text}: {name!r} is ambiguous", todo=f"use {' or '.join(keys)}")
        raise ConfigError(f"--search {text}: there is no setting {name!r}", why=nearest(name, settings))
    key, parts = keys[0], values.split(":")
    if key in _FIXED:
        raise ConfigError(
            f"--search {text}: {key} is not a setting that a study can vary",
            why="it defines the data, the evaluation or the hardware, or the command sets it",
            todo="omit it",
        )
    ends = [parse_value(part.strip()) for part in parts[:2]]
    is_range = len(ends) == 2 and all(_is_whole(end) or (isinstance(end, float) and isfinite(end)) for end in ends)
    if is_range and _is_whole(settings[key]):
        ends = [ceil(ends[0]), floor(ends[1])]
    elif is_range:
        ends = [float(end) for end in ends]
    if is_range and parts[2:] in ([], ["log"]) and (ends[0] > 0 or not parts[2:]) and ends[0] < ends[1]:
        return key, Dimension(low=ends[0], high=ends[1], log=bool(parts[2:]))
    array = parse_value(f"[{values}]")
    choices = array if isinstance(array, list) else [parse_value(part.strip()) for part in values.split(",")]
    if is_range or len(choices) < 2:
        raise ConfigError(
            f"--search {text} is neither a range nor a list",
            why="LOW must be below HIGH, and above 0 for a logarithmic range (:log)" if is_range else "",
            todo=" or ".join(
                shell_words("--search", f"{key}={form}") for form in ("LOW:HIGH", "LOW:HIGH:log", "A,B,C")
            ),
        )
    return key, Dimension(choices=tuple(choices))


def _around(configured: Any, low: float, high: float, log: bool) -> Dimension:
    """Return the range between two factors of a value, of whole numbers from 1 if it is one."""
    if _is_whole(configured):
        return Dimension(low=max(1, round(low * configured)), high=max(1, round(high * configured)), log=log)
    return Dimension(low=float(low * configured), high=float(high * configured), log=log)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
