"""`svipctl data pack`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.errors import ConfigError


def pack(dataset: options.Dataset) -> None:
    """Not built yet."""
    raise ConfigError("`svipctl data pack` is not built yet")
