"""Define the toy birds: attribute values, classes as combinations of them, and the seen and unseen classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Attribute groups like CUB's; the names follow its scheme has_<part>_<property>::<value>.
GROUPS: dict[str, tuple[str, ...]] = {
    "has_bill_shape": ("cone", "dagger", "hooked"),
    "has_crown_color": ("red", "blue", "yellow"),
    "has_wing_color": ("red", "blue", "yellow"),
    "has_belly_color": ("red", "blue", "yellow"),
    "has_breast_pattern": ("solid", "striped", "spotted"),
    "has_tail_shape": ("forked", "fan", "pointed"),
    "has_size": ("small", "large"),
}
ATTRIBUTES: tuple[str, ...] = tuple(f"{group}::{value}" for group, values in GROUPS.items() for value in values)

SEEN, UNSEEN = 40, 10
_SMALLEST_DIFFERENCE = 3
_CANDIDATES = 200


@dataclass(frozen=True)
class Species:
    """A class: one value for each attribute group, as indices in the order of `GROUPS`."""

    values: tuple[int, ...]

    def value(self, group: str) -> str:
        """Return the value of an attribute group, for instance `hooked` for `has_bill_shape`."""
        return GROUPS[group][self.values[list(GROUPS).index(group)]]

    @property
    def description(self) -> str:
        """A readable name, not always unique."""
        crown, wing, tail = (self.value(f"has_{part}") for part in ("crown_color", "wing_color", "tail_shape"))
        return f"{crown}_crowned_{wing}_winged_{tail}_tail"

    def attributes(self) -> np.ndarray:
        """Return the 0/1 vector over `ATTRIBUTES`, (K,)."""
        return np.concatenate([np.eye(len(values))[index] for values, index in zip(GROUPS.values(), self.values)])


def draw_species(seed: int) -> list[Species]:
    """Return the 40 seen classes, then the 10 unseen ones.

    Seen classes are pairs of sister species that differ in one attribute group only, so that every detail must be
    learned; otherwise any two classes differ in at least three groups. Each next class is, among many random
    candidates, the one whose pairs of values are the rarest so far: attributes are then nearly independent over the
    seen classes, and an unseen class is a new combination of known values.
    """
    rng = np.random.default_rng([seed, 1])
    together = np.zeros((len(ATTRIBUTES), len(ATTRIBUTES)))
    species: list[Species] = []
    while len(species) < SEEN + UNSEEN:
        candidates = [one for one in (_random(rng) for _ in range(_CANDIDATES)) if _differs(one, species)]
        if not candidates:
            continue
        chosen = [min(candidates, key=lambda one: one.attributes() @ together @ one.attributes())]
        if len(species) < SEEN:
            chosen.append(_sister(chosen[0], len(species) // 2 % len(GROUPS), rng))
        for one in chosen:
            together += np.outer(one.attributes(), one.attributes())
        species += chosen
    return species


def _random(rng: np.random.Generator) -> Species:
    return Species(tuple(int(rng.integers(len(values))) for values in GROUPS.values()))


def _sister(species: Species, group: int, rng: np.random.Generator) -> Species:
    """Return the same bird with another value of one attribute group."""
    values = list(species.values)
    count = len(list(GROUPS.values())[group])
    values[group] = (values[group] + int(rng.integers(1, count))) % count
    return Species(tuple(values))


def _differs(candidate: Species, others: list[Species]) -> bool:
    return all(sum(a != b for a, b in zip(candidate.values, other.values)) >= _SMALLEST_DIFFERENCE for other in others)
