"""Test the search space of `--search`, and the default one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from svipctl.errors import ConfigError
from svipctl.settings.layers import resolve
from svipctl.training.search_space import DECIDED, Dimension, search_space
from svipctl.training.study import next_trial, open_study


@pytest.mark.parametrize(
    ("text", "key", "dimension"),
    [
        ("optim.lr=1e-5:1e-3:log", "optim.lr", Dimension(low=1e-5, high=1e-3, log=True)),
        ("lr=1:2", "optim.lr", Dimension(low=1.0, high=2.0)),
        ("train.epochs=4:16", "train.epochs", Dimension(low=4, high=16)),
        ("warmup_epochs=0:3", "optim.warmup_epochs", Dimension(low=0, high=3)),
        ("train.epochs=2.5:4.5", "train.epochs", Dimension(low=3, high=4)),
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
        ("optim.lr=2:1", "LOW must be below HIGH"),
        ("train.epochs=2.1:2.9", "LOW must be below HIGH"),
        ("optim.lr=1:1e400", "neither a range nor a list"),
        ("train.epochs=1:1e400", "neither a range nor a list"),
        ("optim.lr=0:1:log", "above 0 for a logarithmic range"),
        ("optim.lr=1:2:cube", "neither a range nor a list"),
        ("optim.optimizer=adam", "neither a range nor a list"),
        *((f"{key}=1,2", "not a setting that a study can vary") for key in sorted(DECIDED)),
        ("model.init_from=a,b", "not a setting that a study can vary"),
        ("lr=1:2", "--search names optim.lr twice"),
    ],
)
def test_an_invalid_search_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        search_space(resolve("toybirds"), ["optim.lr=0.1:0.2", text])


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
        (
            {"recipe": "hybrid", "model.backbone": "vit_toy"},
            {"optim.lr", "train.epochs", "method.scale", "method.fusion_weight"},
        ),
    ],
)
def test_the_default_search_varies_the_settings_of_the_recipe_around_their_values(
    flags: dict[str, Any], keys: set[str]
) -> None:
    configured = resolve("cub", flags=flags)
    space = search_space(configured, [])
    assert set(space) == keys
    for key, dimension in space.items():
        section, name = key.split(".")
        assert getattr(getattr(configured.settings, section), name) in dimension
        assert isinstance(dimension.low, int) == (key == "train.epochs")


def test_the_largest_seed_gives_a_trial(tmp_path: Path) -> None:
    space = {"optim.lr": Dimension(low=1e-4, high=1e-2, log=True)}
    with open_study(tmp_path) as study:
        for _ in range(2):
            trial, values = next_trial(study, space, {}, 2**32 - 1)
            assert 1e-4 <= values["optim.lr"] <= 1e-2
            study.tell(trial, 0.5)
