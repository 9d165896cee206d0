"""From a command's flags to resolved settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svipctl.errors import ConfigError
from svipctl.settings.layers import Resolved, resolve


def resolved(
    dataset: str, *, config: Path | None = None, assignments: Sequence[str] | None = None, **flags: Any
) -> Resolved:
    """Resolve a command's settings; `flags` are dotted keys with double underscores for dots."""
    given = {key.replace("__", "."): value for key, value in flags.items()}
    found = resolve(
        dataset, flags=given, assignments=assignments or (), config=config, environment=os.environ, folder=Path()
    )
    for flag, path in (("--data-dir", found.settings.data_dir), ("--runs-dir", found.settings.runs_dir)):
        _check_folder(flag, path)
    if found.settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return found


def _check_folder(flag: str, path: Path) -> None:
    """A folder that is not there yet is no mistake; a file in its place is."""
    try:
        in_the_way = next((one for one in (path, *path.parents) if one.exists()), Path())
    except (OSError, ValueError) as error:  # a name that is too long or has a null in it, a folder that is closed to us
        raise ConfigError(f"{flag} {path} cannot be used", why=str(error)) from error
    if not in_the_way.is_dir():
        raise ConfigError(f"{flag} {path} is no folder", why=f"{in_the_way} is a file", todo="name another folder")
