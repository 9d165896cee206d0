"""Define the rows of the table as data: named sets of switches over a recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from svipctl.errors import ConfigError, nearest
from svipctl.settings.layers import RECIPES

FULL = "full"


@dataclass(frozen=True)
class Row:
    """One row, as `rows.toml` has it."""

    name: str
    about: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    """Dotted settings that replace those of the recipe."""
    needs: Sequence[str] = ()
    """Requirements on data set, backbone and recipe, keys of `_MISSING`."""
    published: str = ""
    """Key of the published row for comparison, in `published_numbers.toml`."""
    unless: str = ""
    """Setting that must be zero in the recipe."""
    recipe: str = ""
    """The only recipe of the row; empty for all recipes."""


def all_rows(recipe: str = "") -> tuple[Row, ...]:
    """Return every row, or every row over one recipe; the full method first."""
    text = (files("svipctl.reproduce") / "rows.toml").read_text(encoding="utf-8")
    rows = tuple(Row(name, **row) for name, row in tomllib.loads(text).items())
    return tuple(row for row in rows if not recipe or row.recipe in ("", recipe))


def select_rows(controls: str, recipes: str) -> dict[str, tuple[Row, ...]]:
    """Return the rows over each recipe: the full method, and the controls that `--controls` names.

    Args:
        controls: Separated by commas: `all`, `none`, a row (over every recipe), or `RECIPE/ROW` and `RECIPE/all`.
        recipes: Names of recipes, separated by commas.

    Raises:
        ConfigError: There is no such recipe or row, or a control names a recipe that `recipes` does not.

    """
    selected: dict[str, set[str]] = {recipe: {FULL} for recipe in _words(recipes)}
    for recipe in selected:
        if recipe not in RECIPES:
            raise ConfigError(f"there is no recipe {recipe!r}", todo=nearest(recipe, RECIPES))
    if not selected:
        raise ConfigError("--recipes names no recipe", why=f"known: {', '.join(RECIPES)}")
    known = [row.name for row in all_rows()]
    for word in [word for word in _words(controls) if word != "none"]:
        recipe, slash, name = word.rpartition("/")
        if slash and recipe not in selected:
            raise ConfigError(f"--controls {word}: {recipe!r} is not among --recipes", why=nearest(recipe, selected))
        if name not in (*known, "all"):
            raise ConfigError(
                f"there is no control {name!r}",
                why=nearest(name, known),
                todo=f"--controls all, none, or some of: {', '.join(known[1:])}",
            )
        for one in [recipe] if slash else selected:
            selected[one] |= set(known) if name == "all" else {name}
    return {recipe: tuple(row for row in all_rows(recipe) if row.name in names) for recipe, names in selected.items()}


def reason_to_leave_out(row: Row, full: Mapping[str, Any], available: Collection[str]) -> str:
    """Return the reason why a row is not run over a recipe, "" if it is run.

    Args:
        row: The row.
        full: Dotted settings of the requested recipe.
        available: Requirements of `Row.needs` that the data set satisfies.

    """
    satisfied = {
        *available,
        *(["windows"] if full["model.window"] > 1 else []),
        *(["both passes"] if full["method.passes"] == "both" else []),
        *(["pooling"] if full["method.head"] == "windows" else []),
    }
    for need in row.needs:
        if need not in satisfied:
            return _MISSING[need]
    if row.unless and full[row.unless]:
        return f"{row.unless} is {full[row.unless]:g} already"
    changes = any(full[key] != value for key, value in row.switches.items())
    return "" if changes or row.name == FULL else "the recipe already does this"


_MISSING = {
    "objects": "the data set has neither masks nor boxes",
    "words": "the data set has no word vectors (svipctl w2v build)",
    "windows": "a window is one patch here, so both groupings are the same",
    "both passes": "it is a control of SVIP's second pass and selection, which the recipe does not have",
    "pooling": "the recipe's head does not pool window predictions",
}


def _words(text: str) -> list[str]:
    return [word for part in text.split(",") if (word := part.strip())]
