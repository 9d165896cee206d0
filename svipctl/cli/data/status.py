"""`svipctl data status`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.errors import ConfigError


def status(dataset: options.Dataset) -> None:
    """Not built yet."""
    raise ConfigError("`svipctl data status` is not built yet")
