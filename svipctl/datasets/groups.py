"""Define the attribute groups of the three benchmarks, for the decorrelation term: 0-based, inclusive ranges."""

from __future__ import annotations

_RANGES = {
    "cub": "0-8 9-23 24-38 39-53 54-57 58-72 73-78 79-93 94-104 105-119 120-134 135-148 149-151 152-166 167-181 182-196"
    " 197-211 212-216 217-221 222-235 236-239 240-243 244-247 248-262 263-277 278-292 293-307 308-311",
    "awa2": "0-7 8-13 14-17 18-33+44-45 34-43 46-50 51-62 63-77 78-84",
    "sun": "0-35 36-73+80+99 74-79+81-84 85-98+100-101",
}


def attribute_groups(dataset: str) -> tuple[tuple[int, ...], ...]:
    """Return the attribute indices of each group of `cub` (28 groups), `awa2` (9) or `sun` (4)."""
    return tuple(_parse(group) for group in _RANGES[dataset].split())


def _parse(group: str) -> tuple[int, ...]:
    indices: list[int] = []
    for part in group.split("+"):
        first, _, last = part.partition("-")
        indices.extend(range(int(first), int(last or first) + 1))
    return tuple(indices)
