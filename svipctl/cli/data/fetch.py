"""`svipctl data fetch`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.errors import ConfigError


def fetch(dataset: options.Dataset) -> None:
    """Not built yet."""
    raise ConfigError("`svipctl data fetch` is not built yet")
