"""From a command's flags to resolved settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svipctl.errors import ConfigError
from svipctl.settings.layers import Resolved, resolve
from svipctl.settings.schema import Settings


def resolved(
    dataset: str,
    *,
    config: Path | None = None,
    assignments: Sequence[str] | None = None,
    folders_are_checked: bool = True,
    **flags: Any,
) -> Resolved:
    """Resolve a command's settings; `flags` are dotted keys with double underscores for dots.

    A file in the place of a folder is an error, unless the command has its own to say about that.
    """
    try:
        Path.cwd()
    except OSError as error:  # some of the libraries end the process without a word then
        raise ConfigError(
            "the working folder is gone", why=str(error.strerror), todo="cd to one that is there"
        ) from error
    given = {key.replace("__", "."): value for key, value in flags.items()}
    found = resolve(
        dataset, flags=given, assignments=assignments or (), config=config, environment=os.environ, folder=Path()
    )
    for flag, path in (("--data-dir", found.settings.data_dir), ("--runs-dir", found.settings.runs_dir)):
        in_the_way = _nearest_there(flag, path)
        if folders_are_checked and not in_the_way.is_dir():
            raise ConfigError(f"{flag} {path} is no folder", why=f"{in_the_way} is a file", todo="name another folder")
    if found.settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return found


def _nearest_there(flag: str, path: Path) -> Path:
    """The path, or the nearest above it that is there: a folder that is not there yet is no mistake."""
    try:
        return next((one for one in (path, *path.parents) if one.exists()), Path())
    except (OSError, ValueError) as error:  # a name that is too long or has a null in it, a folder that is closed to us
        raise ConfigError(f"{flag} {path} cannot be used", why=str(error)) from error


def with_precision_of(trained: Settings, configured: Resolved) -> Settings:
    """The configuration with the precision a run was trained in, unless another is asked for than a preset's."""
    if configured.origins.get("precision", "preset").startswith(("preset", "recipe")):
        return configured.settings.model_copy(update={"precision": trained.precision})
    return configured.settings
