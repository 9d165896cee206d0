"""`svipctl w2v build`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.errors import ConfigError


def build(dataset: options.Dataset) -> None:
    """Not built yet."""
    raise ConfigError("`svipctl w2v build` is not built yet")
