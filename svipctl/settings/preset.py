"""Resolve the configuration of a preset alone, without files, environment and flags."""

from __future__ import annotations

from svipctl.datasets.names import NAMED
from svipctl.errors import ConfigError, nearest
from svipctl.settings.layers import RECIPES, resolve
from svipctl.settings.schema import Settings

DATASETS = (*NAMED, "folder")


def preset_settings(preset: str, *, dataset: str, recipe: str) -> Settings:
    """Return the configuration of a preset.

    Args:
        preset: A data set (`folder` for folders of your own), a recipe, or both with a comma between.
        dataset: Data set of a preset that names none.
        recipe: Recipe of a preset that names none.

    Raises:
        ConfigError: A part of the preset is neither a data set nor a recipe.

    """
    for part in preset.split(","):
        if part in RECIPES:
            recipe = part
        elif part in DATASETS:
            dataset = part
        else:
            raise ConfigError(
                f"there is no preset {part!r}",
                why=nearest(part, [*DATASETS, *RECIPES]),
                todo="svipctl config show DATASET --diff PRESET",
            )
    return resolve(dataset, flags={"recipe": recipe}).settings
