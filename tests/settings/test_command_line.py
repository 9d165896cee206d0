"""Test that the command line of a configuration gives that configuration."""

from __future__ import annotations

import shlex

import pytest
from typer.main import get_command

from svipctl.cli._app import make_app
from svipctl.settings.command_line import differences_from_presets, train_command
from svipctl.settings.flags import RECIPE, TRAINING, Flag
from svipctl.settings.keys import known_keys
from svipctl.settings.layers import RECIPES, resolve

CASES = [
    {},
    {"recipe": "reference", "seed": 3},
    {"recipe": "paper", "model.backbone": "lite", "optim.lr": 1e-4, "train.fold": 2},
    {"model.backbone": "vit_tiny_patch16_224", "model.backbone_args": {"img_size": 32, "norm": "a b"}},
    {"model.weights": "my weights.pth", "data.crop_scale": (0.5, 1.0), "offline": True, "name": "mine"},
    {"method.keep": 0.7, "method.context": "none", "data_dir": "some where", "train.accumulate": "auto"},
]


@pytest.mark.parametrize("flags", CASES, ids=str)
@pytest.mark.parametrize("dataset", ["toybirds", "cub", "my birds/"])
def test_the_command_of_a_configuration_reproduces_it(dataset: str, flags: dict[str, object]) -> None:
    wanted = resolve(dataset, flags=flags).settings
    words = shlex.split(train_command(wanted))
    assert words[:2] == ["svipctl", "train"]
    command = get_command(make_app()).commands["train"]  # type: ignore[attr-defined]
    with command.make_context("train", words[2:]) as context:
        given = context.params
    named = {flag.key: given[flag.parameter] for flag in TRAINING}
    again = resolve(given["dataset"], flags=named, assignments=given["assignments"] or ())
    assert again.settings == wanted


def test_only_values_that_the_presets_do_not_give_are_in_the_command() -> None:
    assert differences_from_presets(resolve("cub", flags={"recipe": "reference"}).settings) == {"recipe": "reference"}
    assert train_command(resolve("toybirds").settings) == "svipctl train toybirds"


def test_a_final_run_takes_its_epochs_from_development() -> None:
    settings = resolve("toybirds", flags={"train.epochs": 4}).settings
    assert train_command(settings, ["a-fold1"]) == "svipctl train toybirds --final --from-development a-fold1"


@pytest.mark.parametrize("flag", TRAINING, ids=lambda flag: flag.name)
def test_a_flag_belongs_to_a_setting(flag: Flag) -> None:
    assert flag.key in dict(known_keys())
    assert flag.help.endswith((".", ")"))


def test_completion_offers_the_existing_recipes() -> None:
    assert RECIPE.values == RECIPES
