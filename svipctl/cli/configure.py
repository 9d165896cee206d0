"""From a command's flags to resolved settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svipctl.settings.layers import Resolved, resolve


def resolved(
    dataset: str, *, config: Path | None = None, assignments: Sequence[str] | None = None, **flags: Any
) -> Resolved:
    """Resolve a command's settings; `flags` are dotted keys with double underscores for dots."""
    given = {key.replace("__", "."): value for key, value in flags.items()}
    found = resolve(
        dataset, flags=given, assignments=assignments or (), config=config, environment=os.environ, folder=Path()
    )
    if found.settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return found
