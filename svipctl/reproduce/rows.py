"""The rows of the table as data: named sets of switches over a recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from svipctl.errors import ConfigError, nearest

FULL = "full"


@dataclass(frozen=True)
class Row:
    """One row."""

    name: str
    about: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    """Dotted settings over the recipe."""
    needs: tuple[str, ...] = ()
    """What the benchmark and backbone must have."""
    published: str = ""
    """The published row beside it, a key of `published.toml`."""
    unless: str = ""
    """A setting that must be zero in the recipe."""

    @property
    def assignments(self) -> tuple[str, ...]:
        """`key=value` for --set."""
        return tuple(f"{key}={_text(value)}" for key, value in self.switches.items())


def all_rows() -> tuple[Row, ...]:
    """Every row, the full method first."""
    text = (files("svipctl.reproduce") / "rows.toml").read_text(encoding="utf-8")
    return tuple(
        Row(
            name,
            row["about"],
            row.get("set", {}),
            tuple(row.get("needs", ())),
            row.get("published", ""),
            row.get("unless", ""),
        )
        for name, row in tomllib.loads(text).items()
    )


def chosen_rows(controls: str, recipes: Sequence[str]) -> dict[str, tuple[Row, ...]]:
    """The rows over each recipe: the full method, and the controls that `--controls` names.

    Args:
        controls: Words with commas between: `all`, `none`, a row (over every recipe), or `RECIPE/ROW` and `RECIPE/all`.
        recipes: What may stand before the slash.

    Raises:
        ConfigError: There is no such row, or no such recipe among those asked for.

    """
    rows = all_rows()
    known = [row.name for row in rows]
    chosen: dict[str, set[str]] = {recipe: {FULL} for recipe in recipes}
    for word in [word.strip() for word in controls.split(",") if word.strip() not in ("", "none")]:
        recipe, slash, name = word.rpartition("/")
        if slash and recipe not in chosen:
            raise ConfigError(f"--controls {word}: {recipe!r} is not among --recipes", why=nearest(recipe, recipes))
        if name not in (*known, "all"):
            raise ConfigError(
                f"there is no row {name!r}",
                why=nearest(name, known),
                todo=f"--controls all, none, or some of: {', '.join(known[1:])}",
            )
        for one in [recipe] if slash else recipes:
            chosen[one] |= set(known) if name == "all" else {name}
    return {recipe: tuple(row for row in rows if row.name in names) for recipe, names in chosen.items()}


def why_left_out(row: Row, changed: Sequence[str], full: Mapping[str, Any], has: Collection[str]) -> str:
    """Why a row is not run over a recipe, or "" when it is.

    Args:
        row: The row.
        changed: Settings that it changes of the recipe as it is asked for.
        full: Dotted settings of the recipe as it is asked for.
        has: What benchmark and backbone have, of `needs`.

    """
    missing = [_LACK[need] for need in row.needs if need not in has]
    if missing:
        return missing[0]
    if row.unless and full[row.unless]:
        return f"{row.unless} is {full[row.unless]:g} already"
    if row.name != FULL and not changed:
        return "this is what the recipe does"
    return ""


_LACK = {
    "objects": "the data set has neither masks nor boxes",
    "words": "the data set has no word vectors (svipctl w2v build)",
    "windows": "a window is one patch here, so both groupings are the same",
}


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
