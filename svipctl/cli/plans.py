"""What `--dry-run` says of a plan: a line for each of its values, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "disk_mib": "disk for checkpoints",
    "features_mib": "disk for the stem's features",
    "memory_mib": "memory for the network",
    "parts": "parts of a batch",
}
_BESIDES = {"memory_mib": "; Python and torch take about 1 GiB besides, activations what the batch takes"}


def in_words(plan: Mapping[str, Any]) -> str:
    """A line a value; what is not known, not there or not needed is left out."""
    return "\n".join(
        f"{_NAMES.get(key, key.replace('_', ' '))}: {_value(value)}{' MiB' if key.endswith('_mib') else ''}"
        f"{_BESIDES.get(key, '')}"
        for key, value in plan.items()
        if value is not None and (value or key != "features_mib")
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{one} {name}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
