"""The configuration that a preset gives alone, without files, environment and flags."""

from __future__ import annotations

from svipctl.datasets.names import BUILT_IN, OFFICIAL
from svipctl.errors import ConfigError, nearest
from svipctl.settings.layers import RECIPES, resolve
from svipctl.settings.schema import Settings

DATASETS = (*OFFICIAL, *BUILT_IN, "folder")


def preset_settings(preset: str, *, dataset: str, recipe: str) -> Settings:
    """A preset's configuration.

    Args:
        preset: A data set (`folder` for folders of your own), a recipe, or both with a comma between.
        dataset: Stands where the preset names no data set.
        recipe: Stands where the preset names no recipe.

    Raises:
        ConfigError: A part of it is neither.

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
