"""Format the plans of --dry-run for training, evaluation, export and reproduction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAN_NAMES = {
    "disk_mib": "disk for checkpoints",
    "features_mib": "disk for the stem's features",
    "memory_mib": "memory for the network",
    "parts": "micro-batches per step",
}
_PLAN_NOTES = {"memory_mib": "; plus about 1 GiB for Python and torch, and the activations of the batch"}


def describe_plan(plan: Mapping[str, Any]) -> str:
    """Return the text of --dry-run: a line for each value that is known and needed, but its warnings."""
    return "\n".join(
        f"{_PLAN_NAMES.get(key, key.replace('_', ' '))}: {_in_words(value)}{' MiB' if key.endswith('_mib') else ''}"
        f"{_PLAN_NOTES.get(key, '')}"
        for key, value in plan.items()
        if value is not None and key != "warnings" and (value or key != "features_mib")
    )


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{one} {name}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
