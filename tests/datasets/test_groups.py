"""Test that the attribute groups of the benchmarks partition their attributes."""

from __future__ import annotations

import pytest

from svipctl.datasets.groups import attribute_groups


@pytest.mark.parametrize(("name", "groups", "attributes"), [("cub", 28, 312), ("awa2", 9, 85), ("sun", 4, 102)])
def test_groups_are_counted_and_disjoint(name: str, groups: int, attributes: int) -> None:
    found = attribute_groups(name)
    members = [index for group in found for index in group]
    assert len(found) == groups
    assert len(members) == len(set(members))
    assert set(members) <= set(range(attributes))


def test_ranges_are_inclusive_and_may_be_joined() -> None:
    assert attribute_groups("cub")[0] == tuple(range(9))
    assert attribute_groups("awa2")[3] == (*range(18, 34), 44, 45)
    assert attribute_groups("sun")[3] == (*range(85, 99), 100, 101)


@pytest.mark.parametrize(("name", "attributes"), [("cub", 312), ("sun", 102)])
def test_groups_of_cub_and_sun_cover_all_attributes_except_cubs_known_gap(name: str, attributes: int) -> None:
    members = {index for group in attribute_groups(name) for index in group}
    assert set(range(attributes)) - members == set()
