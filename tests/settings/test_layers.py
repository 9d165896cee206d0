"""Test the order of layers, the origin of each value, and that every preset is a valid configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from svipctl.datasets.names import BUILT_IN, OFFICIAL
from svipctl.errors import ConfigError
from svipctl.settings.keys import flatten
from svipctl.settings.layers import RECIPES, preset_layers, resolve
from svipctl.settings.schema import Settings

DATASETS = (*OFFICIAL, *BUILT_IN, "some/folder")


def test_each_layer_overrides_the_ones_below_it(tmp_path: Path) -> None:
    """Set seed and optim.lr in every layer from some layer down."""
    (tmp_path / "svipctl.toml").write_text("seed = 1\n[optim]\nlr = 0.1\n")
    config = tmp_path / "mine.toml"
    config.write_text("seed = 2\n[optim]\nlr = 0.2\n")
    environment = {"SVIPCTL_SEED": "3", "SVIPCTL_OPTIM__LR": "0.3", "HOME": "x", "SVIPCTL_NAME": ""}
    layers: list[dict[str, Any]] = [
        {},
        {"folder": tmp_path},
        {"config": config},
        {"environment": environment},
        {"flags": {"seed": 4, "optim.lr": 0.4, "name": None}},
        {"assignments": ["seed=5", "optim.lr=0.5"]},
    ]
    origins = ["default", "svipctl.toml", "mine.toml", "environment", "flag", "flag"]
    rates = [3e-5, 0.1, 0.2, 0.3, 0.4, 0.5]
    given_so_far: dict[str, Any] = {"folder": tmp_path / "elsewhere"}
    for number, (layer, origin, rate) in enumerate(zip(layers, origins, rates)):
        given_so_far |= layer
        found = resolve("cub", **given_so_far)
        assert (found.settings.seed, found.settings.optim.lr) == (number, rate)
        assert found.origins.get("seed", "default") == origin
        assert found.origins["optim.lr"] == ("preset cub" if number == 0 else origin)
        assert found.settings.name == ""


def test_a_layer_that_sets_one_key_of_a_section_keeps_the_others() -> None:
    found = resolve("sun", assignments=["optim.lr=1"]).settings.optim
    assert (found.lr, found.betas, found.warmup_epochs) == (1, (0.5, 0.999), 4)


def test_a_recipe_is_chosen_by_any_layer_and_is_below_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text('recipe = "reference"\n')
    found = resolve("awa2", folder=tmp_path)
    assert (found.settings.recipe, found.settings.method.score_pooling) == ("reference", "runs")
    assert found.settings.method.decorrelation_weight == 1.0
    assert found.origins["method.decorrelation_weight"] == "preset awa2, reference"
    assert found.origins["recipe"] == "svipctl.toml"
    assert resolve("awa2", folder=tmp_path, flags={"recipe": "paper"}).settings.recipe == "paper"


@pytest.mark.parametrize("seed", [-1, 2**32, 10**20])
def test_a_seed_that_a_random_generator_does_not_accept_is_refused(seed: int) -> None:
    assert resolve("cub", flags={"seed": 2**32 - 1}).settings.seed == 2**32 - 1
    with pytest.raises(ConfigError) as caught:
        resolve("cub", flags={"seed": seed})
    assert "seed" in caught.value.why


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_preset_is_a_valid_configuration(dataset: str, recipe: str) -> None:
    found = resolve(dataset, flags={"recipe": recipe})
    assert (found.settings.dataset, found.settings.recipe) == (dataset, recipe)
    given_keys = {key for layer in preset_layers(dataset, recipe) for key in layer.values}
    assert given_keys <= set(Settings.model_fields)
    assert set(found.origins) <= set(flatten(found.settings))


def test_no_preset_of_the_corrected_recipe_selects_on_the_test_set() -> None:
    assert {resolve(dataset).settings.train.select for dataset in DATASETS} == {"last"}
    assert resolve("cub", flags={"recipe": "reference"}).settings.train.select == "test"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_the_preset_of_a_backbone_overrides_those_of_data_set_and_recipe(dataset: str, recipe: str) -> None:
    plain = resolve(dataset, flags={"recipe": recipe}).settings
    found = resolve(dataset, flags={"recipe": recipe, "model.backbone": "lite", "optim.lr": 0.5})
    assert (found.settings.model.window, found.settings.model.stem) == (1, "frozen")
    assert found.settings.optim.warmup_epochs == 0
    assert found.settings.optim.lr == 0.5
    assert found.settings.method.context_layout == plain.method.context_layout
    assert found.origins["model.stem"] == "preset lite"


def test_a_backbone_chosen_in_a_file_has_its_preset(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text('[model]\nbackbone = "lite"\n')
    assert resolve("cub", folder=tmp_path).settings.model.stem == "frozen"
    assert resolve("cub", folder=tmp_path, flags={"model.backbone": "deit_base"}).settings.model.stem == "train"


@pytest.mark.parametrize("name", ["../datasets/cub", "lite.toml", "", 3])
def test_an_unusual_backbone_name_reads_no_file(name: object) -> None:
    assert resolve("cub", flags={"model.backbone": name}).settings.model.stem == "train"


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text("[optim]\nrate = 1\n")
    with pytest.raises(ConfigError) as caught:
        resolve(
            "cub",
            folder=tmp_path,
            environment={"SVIPCTL_TRAIN__EPOCHS": "0"},
            assignments=["sed=1", "lonely"],
            config=tmp_path / "missing.toml",
        )
    assert len(caught.value.why.splitlines()) == 5
    for part in ("optim.rate (svipctl.toml)", "train.epochs (environment)", "sed (flag)", "lonely", "missing.toml"):
        assert part in caught.value.why
    assert "'seed'" in caught.value.why


@pytest.mark.parametrize(
    ("assignments", "part"),
    [
        (["train.select=validation"], "needs train.fold"),
        (["train.select=test", "train.monitor=none"], "needs train.monitor = 'test'"),
        (["optim.lr=-1"], "greater than 0"),
        (["optim.betas=[1.5,0.9]"], "less than 1"),
        (["data.crop_scale=[0.5,1.5]"], "less than or equal to 1"),
        (["data.crop_scale=[0.5,0.1]"], "the smaller one comes first"),
        (["precision=fp64"], "'fp64'"),
        (
            ["train.batch_size=auto"],
            "`--batch-size auto` finds the number of micro-batches that fit in memory, got 'auto'",
        ),
        (["optim.lr=true"], "true and false are not values"),
        (["optim.betas=[false,0.9]"], "true and false are not values"),
        (["method.keep=true"], "true and false are not values"),
        (["method.keeep=3"], "'method.keep'"),
        (["model=5"], "model"),
    ],
)
def test_invalid_values_are_refused(assignments: list[str], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("cub", assignments=assignments)
    assert part.replace("needs train.fold", "needs a fold") in caught.value.why


def test_a_file_that_is_not_toml_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_bytes(b"\xff = [")
    with pytest.raises(ConfigError) as caught:
        resolve("cub", folder=tmp_path)
    assert "svipctl.toml cannot be read" in caught.value.why


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a broken link"])
def test_a_project_file_that_cannot_be_read_is_an_error(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "svipctl.toml"
    {"a folder": file.mkdir, "a pipe": lambda: os.mkfifo(file), "a broken link": lambda: file.symlink_to("gone")}[
        kind
    ]()
    with pytest.raises(ConfigError, match=r"svipctl\.toml"):
        resolve("cub", folder=tmp_path)


def test_variables_that_differ_in_case_only_must_agree() -> None:
    assert resolve("cub", environment={"SVIPCTL_SEED": "3", "SVIPCTL_seed": "3"}).settings.seed == 3
    with pytest.raises(ConfigError, match=r"seed \(environment\): two variables set it"):
        resolve("cub", environment={"SVIPCTL_SEED": "3", "SVIPCTL_seed": "4"})


def test_a_table_without_entries_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text("[optim]\n# lr = 1\n[method]\nkeep = 7\n")
    found = resolve("cub", folder=tmp_path)
    assert found.settings.method.keep == 7
    (tmp_path / "svipctl.toml").write_text("[optimm]\n")
    with pytest.raises(ConfigError) as caught:
        resolve("cub", folder=tmp_path)
    assert "optimm (svipctl.toml): no such setting" in caught.value.why


def test_a_quoted_key_with_a_dot_is_not_a_setting(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text('"optim.lr" = 1.0\n')
    with pytest.raises(ConfigError) as caught:
        resolve("cub", folder=tmp_path)
    assert "\"optim.lr\" (svipctl.toml): no such setting (did you mean 'optim.lr'" in caught.value.why


def test_a_quoted_key_with_a_dot_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text('"optim.rate" = 1\n')
    with pytest.raises(ConfigError):
        resolve("cub", folder=tmp_path)


def test_any_argument_of_the_backbone_is_accepted() -> None:
    found = resolve("cub", assignments=["model.backbone_args={img_size=64}", "model.backbone_args.depth=2"])
    assert found.settings.model.backbone_args["depth"] == 2


@pytest.mark.parametrize("text", ["5e12345", "2024", "2024-01-01", "007", "true", "[a]"])
def test_text_settings_keep_their_text_unparsed(text: str) -> None:
    found = resolve("cub", environment={"SVIPCTL_DATA_DIR": text}, assignments=[f"name={text}", "gpu='0'"]).settings
    assert (found.name, str(found.data_dir), found.gpu) == (text, text, "0")


def test_an_unexpanded_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "svipctl.toml").write_text('runs_dir = "~/runs"\n[model]\ninit_from = "~nobody-9/x"\n')
    found = resolve(
        "cub", folder=tmp_path, environment={"SVIPCTL_DATA_DIR": "~"}, assignments=["model.weights=~/w.pth"]
    ).settings
    assert (found.data_dir, found.runs_dir) == (tmp_path / "home", tmp_path / "home" / "runs")
    assert (found.model.weights, found.model.init_from) == (str(tmp_path / "home" / "w.pth"), "~nobody-9/x")


@pytest.mark.parametrize(
    ("dataset", "flags", "recipe"),
    [
        ("cub", {}, "svipctl"),
        ("toybirds", {}, "svipctl"),
        ("cub", {"model.backbone": "lite"}, "hybrid"),
        ("cub", {"model.backbone": "lite", "recipe": "svipctl"}, "svipctl"),
        ("birds", {}, "hybrid"),
        ("birds", {"recipe": "paper"}, "paper"),
    ],
)
def test_the_recipe_for_photographs_is_the_default_of_folders_and_of_lite(
    dataset: str, flags: dict[str, str], recipe: str
) -> None:
    resolved = resolve(dataset, flags=flags)
    assert resolved.settings.recipe == recipe
    assert resolved.settings.method.fusion == ("eszsl" if recipe == "hybrid" else "none")


@pytest.mark.parametrize("order", [1, -1])
def test_a_section_and_a_key_of_it_are_both_in_force_in_any_order(order: int) -> None:
    given = ["optim.lr=7", "optim={weight_decay=0.5}", "model.backbone_args={a=1}", "model.backbone_args.b=2"]
    found = resolve("cub", assignments=given[::order]).settings
    assert (found.optim.lr, found.optim.weight_decay, found.model.backbone_args) == (7, 0.5, {"a": 1, "b": 2})
    with pytest.raises(ConfigError, match="'sun' in the settings"):
        resolve("cub", flags={"dataset": "sun"})


def test_the_last_assignment_of_a_key_is_in_force() -> None:
    again = resolve("cub", assignments=["optim.lr=0.2", "optim={lr=0.1}", "optim.lr=0.3"])
    assert again.settings.optim.lr == 0.3


def test_sections_are_merged_at_every_depth_and_stay_the_callers() -> None:
    given = {"model": {"backbone_args": {"img_size": 32}}}
    found = resolve("toybirds", flags={**given, "model.backbone_args.depth": 1}).settings.model.backbone_args
    assert found == {"img_size": 32, "depth": 1}
    assert given == {"model": {"backbone_args": {"img_size": 32}}}
    arguments = {"model.backbone_args": {"img_size": 32}, "model": {"backbone_args": {"depth": 1}}}
    assert resolve("toybirds", flags=arguments).settings.model.backbone_args == found


def test_a_switch_for_a_number_is_one_problem() -> None:
    with pytest.raises(ConfigError, match="has 2 errors"):
        resolve("cub", assignments=["optim.betas=[true,0.9]", "data.resize=true"])


def test_a_unique_last_part_of_a_key_is_sufficient() -> None:
    assert resolve("cub", assignments=["lr=3"]).settings.optim.lr == 3.0
    with pytest.raises(ConfigError, match="'batch_size' is ambiguous: use train.batch_size or eval.batch_size"):
        resolve("cub", assignments=["batch_size=3"])


@pytest.mark.parametrize(("installed", "backbone"), [(True, "lite"), (False, "deit_base")])
def test_a_folder_is_trained_with_the_installed_backbone(
    installed: bool, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svipctl.model.lite_weights.PACKAGE", "json" if installed else "no-such-package")
    assert resolve("mine").settings.model.backbone == backbone
    assert resolve("cub").settings.model.backbone == "deit_base"


def test_features_of_a_file_replace_the_backbone_of_every_layer(tmp_path: Path) -> None:
    own = "[model]\nbackbone = 'vit_small'\nweights = 'mine.pth'\nwindow = 1\nbackbone_args = { depth = 3 }\n"
    (tmp_path / "svipctl.toml").write_text(own + "[data]\nnormalise = 'half'\n")
    for dataset in DATASETS:
        found = resolve(dataset, folder=tmp_path, flags={"data.features": "clip.npz"}).settings
        assert (found.model.backbone, found.model.weights, found.model.init_from) == ("features", "none", "")
        assert (found.recipe, found.model.window, found.train.epochs) == ("hybrid", 1, 16)
        plain = resolve(dataset, flags={"data.features": "clip.npz"}).settings
        assert (found.model, found.data) == (plain.model, plain.data)
    rate = resolve("cub", flags={"data.features": "clip.npz"}, assignments=["optim.lr=0.1"]).settings.optim.lr
    assert rate == 0.1
    off = resolve("cub", folder=tmp_path, flags={"data.features": ""}).settings
    assert (off.model.backbone, off.model.weights) == ("vit_small", "mine.pth")


@pytest.mark.parametrize(
    "flag",
    [
        *("model.backbone=lite", "model.weights=pretrained", "model.init_from=runs/one", "model.stem=train"),
        *("model.backbone_args={depth=1}", "data.resize=square", "data.test_resize=square", "data.normalise=half"),
        *("data.crop_scale=[0.5,1]", "data.keep_features=false"),
    ],
)
def test_a_backbone_on_the_command_line_contradicts_features_of_a_file(flag: str) -> None:
    with pytest.raises(ConfigError) as refused:
        resolve("cub", assignments=["data.features=clip.npz", flag])
    assert f"{flag.partition('=')[0]} (flag): the features of data.features replace it" in refused.value.why
    resolve("cub", assignments=["data.features=clip.npz", "model.backbone=features", "model.weights=none"])


def test_a_misspelled_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="there is no argument flag"):
        resolve("cub", flag={"seed": 5})  # type: ignore[call-arg]
