"""The search space of `--search`, and the default one."""

from __future__ import annotations

from typing import Any

import pytest

from svipctl.errors import ConfigError
from svipctl.settings.layers import resolve
from svipctl.training.search_space import DECIDED, Dimension, search_space


@pytest.mark.parametrize(
    ("text", "key", "dimension"),
    [
        ("optim.lr=1e-5:1e-3:log", "optim.lr", Dimension(low=1e-5, high=1e-3, log=True)),
        ("lr=1:2", "optim.lr", Dimension(low=1.0, high=2.0)),
        ("train.epochs=4:16", "train.epochs", Dimension(low=4, high=16)),
        ("optim.optimizer=adam,adamw", "optim.optimizer", Dimension(choices=("adam", "adamw"))),
        ("train.batch_size=8,16", "train.batch_size", Dimension(choices=(8, 16))),
        (
            "method.fusion_penalties=[1.0, 10.0],[3.0, 3.0]",
            "method.fusion_penalties",
            Dimension(choices=([1.0, 10.0], [3.0, 3.0])),
        ),
    ],
)
def test_a_search_is_a_range_or_a_list(text: str, key: str, dimension: Dimension) -> None:
    assert search_space(resolve("toybirds"), [text]) == {key: dimension}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optim.rl=1:2", "did you mean 'optim.lr'"),
        ("optim.lr", "neither a range nor a list"),
        ("optim.lr=2:1", "LOW above 0 for log"),
        ("optim.lr=0:1:log", "above 0 for log"),
        ("optim.lr=1:2:cube", "neither a range nor a list"),
        ("optim.optimizer=adam", "neither a range nor a list"),
        *((f"{key}=1,2", "not a setting that a study can vary") for key in sorted(DECIDED)),
        ("model.init_from=a,b", "not a setting that a study can vary"),
    ],
)
def test_a_search_that_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        search_space(resolve("toybirds"), [text])


@pytest.mark.parametrize(
    ("flags", "keys"),
    [
        ({"recipe": "svipctl"}, {"optim.lr", "train.epochs", "method.scale"}),
        ({"recipe": "svipctl", "optim.lr": 1e-3, "train.epochs": 4}, {"method.scale"}),
        (
            {"recipe": "hybrid"},
            {"optim.lr", "train.epochs", "method.scale", "method.fusion_weight", "method.prototype_weight"}
            | {"method.whitening_shrinkage"},
        ),
    ],
)
def test_without_a_search_what_the_recipe_uses_varies_around_its_values(flags: dict[str, Any], keys: set[str]) -> None:
    configured = resolve("toybirds", flags=flags)
    space = search_space(configured, [])
    assert set(space) == keys
    for key, dimension in space.items():
        section, name = key.split(".")
        assert getattr(getattr(configured.settings, section), name) in dimension
        assert isinstance(dimension.low, int) == (key == "train.epochs")
