"""Mark parameters of tests as slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first_fast(values: Iterable[Any], count: int = 1) -> list[Any]:
    """Return the values of a parameter; `make test` uses the first ones, the slow tests the others."""
    listed = list(values)
    return [*listed[:count], *(pytest.param(value, marks=pytest.mark.slow) for value in listed[count:])]
