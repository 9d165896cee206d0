"""`svipctl data import`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.errors import ConfigError


def import_(dataset: options.Dataset) -> None:
    """Not built yet."""
    raise ConfigError("`svipctl data import` is not built yet")
