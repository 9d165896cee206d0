"""Which toy birds exist: attribute values, classes as combinations of them, and who is seen or unseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Attribute groups in the manner of CUB; the names follow its scheme has_<part>_<property>::<value>.
GROUPS: dict[str, tuple[str, ...]] = {
    "has_bill_shape": ("cone", "dagger", "hooked", "broad"),
    "has_crown_color": ("red", "blue", "yellow", "black", "white"),
    "has_wing_color": ("red", "blue", "yellow", "black", "white"),
    "has_belly_color": ("red", "blue", "yellow", "black", "white"),
    "has_breast_pattern": ("solid", "striped", "spotted"),
    "has_tail_shape": ("forked", "fan", "pointed"),
    "has_size": ("small", "large"),
}
ATTRIBUTES: tuple[str, ...] = tuple(f"{group}::{value}" for group, values in GROUPS.items() for value in values)

SEEN, UNSEEN = 40, 10
_SMALLEST_DIFFERENCE = 3


@dataclass(frozen=True)
class Species:
    """A class: one value for each attribute group, as indices in the order of `GROUPS`."""

    values: tuple[int, ...]

    def value(self, group: str) -> str:
        """The value of an attribute group, for instance `hooked` for `has_bill_shape`."""
        return GROUPS[group][self.values[list(GROUPS).index(group)]]

    @property
    def description(self) -> str:
        """A readable name, not always unique."""
        crown, wing, tail = (self.value(f"has_{part}") for part in ("crown_color", "wing_color", "tail_shape"))
        return f"{crown}_crowned_{wing}_winged_{tail}_tail"

    def attributes(self) -> np.ndarray:
        """0/1 vector over `ATTRIBUTES`, (K,)."""
        return np.concatenate([np.eye(len(values))[index] for values, index in zip(GROUPS.values(), self.values)])


def draw_species(seed: int, count: int = SEEN + UNSEEN) -> list[Species]:
    """Distinct combinations, any two of which differ in at least three attribute groups.

    The first 40 are the seen classes. Every attribute value occurs among them in at least three classes, so that an
    unseen class is a new combination of known values.
    """
    rng = np.random.default_rng([seed, 1])
    while True:
        species: list[Species] = []
        while len(species) < count:
            candidate = Species(tuple(int(rng.integers(len(values))) for values in GROUPS.values()))
            if all(_difference(candidate, other) >= _SMALLEST_DIFFERENCE for other in species):
                species.append(candidate)
        seen = np.sum([one.attributes() for one in species[:SEEN]], axis=0)
        if seen.min() >= 3:
            return species


def _difference(one: Species, other: Species) -> int:
    return sum(a != b for a, b in zip(one.values, other.values))
