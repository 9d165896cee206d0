"""Test recipes as values."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from svipctl.inference.weights_file import from_published, our_name, published_name
from svipctl.model.recipe import Recipe
from tests.model.tiny import svip

PRESETS = files("svipctl.settings").joinpath("presets", "recipes")


@pytest.mark.parametrize(
    ("keep", "expected"), [(40, 40), (45, 45), (0.8, 39), (1, 1), (60, 49), (0.001, 1), (0.999, 49)]
)
def test_windows_kept_reads_a_count_or_a_share(keep: float, expected: int) -> None:
    assert Recipe(keep=keep).windows_kept(49) == expected


@settings(max_examples=60)
@given(keep=st.floats(1e-6, 1e4), windows=st.integers(1, 400))
def test_windows_kept_is_at_least_one_and_at_most_all(keep: float, windows: int) -> None:
    assert 1 <= Recipe(keep=keep).windows_kept(windows) <= windows


@pytest.mark.parametrize("name", ["svipctl", "reference", "paper"])
def test_a_named_recipe_sets_every_switch(name: str) -> None:
    method = tomllib.loads(PRESETS.joinpath(f"{name}.toml").read_text())["method"]
    assert set(method) <= set(Recipe.model_fields)
    assert Recipe(**method).model_dump().items() >= method.items()


@pytest.mark.parametrize(
    "switches",
    [{"keep": 0}, {"scale": 0}, {"consistency_temperature": 0}, {"patch_weight": -1}, {"pooling": "sum"}, {"kept": 3}],
)
def test_meaningless_or_unknown_switch_is_refused(switches: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(switches))):
        Recipe(**switches)


def test_recipe_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().keep = 3


def test_published_names_are_converted_both_ways_for_every_parameter() -> None:
    ours = [name for name, _ in svip().named_parameters()]
    assert [our_name(published_name(name)) for name in ours] == ours
    assert len({published_name(name) for name in ours}) == len(ours)
    assert published_name("context.to_patch.weight") == "v2p.weight"
    assert published_name("backbone.blocks.0.norm1.weight") == "blocks.0.norm1.weight"


def test_published_state_loses_only_its_unused_classifier() -> None:
    state = {published_name(name): tensor for name, tensor in svip().named_parameters()}
    converted = from_published(state | {"head.weight": next(iter(state.values()))})
    assert set(converted) == {name for name, _ in svip().named_parameters()}
