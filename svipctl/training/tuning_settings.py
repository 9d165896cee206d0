"""Configure the runs of a study: trials, which are development runs that never use test, and the best trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svipctl.errors import ConfigError
from svipctl.quoting import shell_words
from svipctl.settings.command_line import differences_from_presets, toml_text
from svipctl.settings.keys import flatten
from svipctl.settings.layers import Resolved
from svipctl.settings.schema import Settings
from svipctl.training.search_space import DECIDED

Configure = Callable[[Mapping[str, Any]], Resolved]
"""Function that resolves the configuration with further values by dotted key, above those of the user."""


def fold_configuration(
    configure: Configure, folder: Path, values: Mapping[str, Any], trial: int, fold: int
) -> Resolved:
    """Return the configuration of the development run of a trial, counted from 1, on a fold."""
    decided = {"train.fold": fold, "train.monitor": "validation", "train.select": "last"}
    decided |= {"name": f"trial{trial}-fold{fold}", "runs_dir": folder, **values}
    resolved = configure(decided)
    found = flatten(resolved.settings)
    for key, value in decided.items():
        if found[key] != (tuple(value) if isinstance(value, list) else value):
            raise ConfigError(
                f"--set {key} contradicts tuning, which sets it", todo=f"omit {shell_words('--set', key)}"
            )
    return resolved


def check_never_tests(configured: Resolved) -> None:
    """Raise ConfigError if a fold, the test images or several devices are requested by anything but a preset."""
    settings = configured.settings
    for key in ("train.fold", "train.monitor", "train.select"):
        value, origin = flatten(settings)[key], configured.origins.get(key, "default")
        is_asked = not origin.startswith(("default", "preset", "recipe"))
        if is_asked and (key == "train.fold" or value == "test"):
            raise ConfigError(
                f"{key} = {value} ({origin}) contradicts tuning",
                why="settings are chosen on the validation images of all folds, and never on test",
                todo="omit it",
            )
    if "," in settings.gpu:
        raise ConfigError(f"--gpu {settings.gpu} names several devices", todo="tune on one: --gpu 0")


def winner_toml(settings: Settings, best: Mapping[str, Any]) -> str:
    """Return the differences of the best trial from the presets, as a file for --config.

    Args:
        settings: Settings of one of the trial's runs.
        best: The trial's result `H`, that of each of its `folds`, and its `settings`.

    """
    given = {key: value for key, value in differences_from_presets(settings).items() if key not in DECIDED}
    values = {"recipe": settings.recipe, "model.backbone": settings.model.backbone, **given, **best["settings"]}
    folds = ", ".join(f"{figure:.1f}" for figure in best["folds"])
    head = f"# {settings.dataset}: best H {best['H']:.1f} on validation images, mean over folds ({folds})"
    return f"{head}\n{toml_text(values, {}, {})}\n"
