"""`svipctl w2v check`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.errors import ConfigError


def check(dataset: options.Dataset) -> None:
    """Not built yet."""
    raise ConfigError("`svipctl w2v check` is not built yet")
