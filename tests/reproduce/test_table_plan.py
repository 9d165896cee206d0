"""Test the plan: which rows over which recipe, in which order, as which command lines."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from svipctl.cli._app import make_app
from svipctl.errors import ConfigError
from svipctl.reproduce.rows import FULL, all_rows, select_rows
from svipctl.reproduce.table_plan import TableStep
from svipctl.settings.layers import resolve
from tests.reproduce.cases import final_runs, plan_of


def option(step: TableStep, flag: str) -> list[str]:
    """Return every value of a flag in a command."""
    return [after for one, after in zip(step.arguments, step.arguments[1:]) if one == flag]


def test_every_step_comes_after_what_it_needs(tmp_path: Path) -> None:
    seen: set[str] = set()
    for step in plan_of(tmp_path, controls="all", folds=2).steps:
        assert seen.issuperset(step.needs)
        assert step.key not in seen
        seen.add(step.key)


def test_a_row_has_a_run_per_fold_and_a_run_and_an_evaluation_per_seed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, controls="none", recipes=["svipctl"], seeds=3, folds=2, baselines=[])
    kinds = [step.kind for step in plan.steps]
    assert kinds == ["development"] * 2 + ["final", "evaluation"] * 3
    assert [step.run for step in plan.steps if step.kind != "evaluation"] == [
        *(f"table-svipctl-full-fold{fold}" for fold in (1, 2)),
        *(f"table-svipctl-full-seed{seed}" for seed in (0, 1, 2)),
    ]
    final = final_runs(plan, "svipctl", FULL)[1]
    assert option(final, "--from-development") == ["table-svipctl-full-fold1", "table-svipctl-full-fold2"]
    assert option(final, "--seed") == ["1"]
    assert "--final" in final.arguments
    assert all(option(step, "--seed") == ["0"] for step in plan.steps if step.kind == "development")


def test_no_development_run_and_no_final_run_of_the_corrected_recipe_uses_test_images(tmp_path: Path) -> None:
    for step in plan_of(tmp_path, controls="all").steps:
        if step.kind == "development":
            assert (step.settings.train.monitor, step.settings.train.select) == ("validation", "last")
        if step.kind == "final":
            assert step.settings.train.monitor == ("test" if step.recipe == "reference" else "none")
            assert (step.settings.train.select, step.settings.train.fold) == ("last", None)


def test_a_final_run_has_the_configuration_of_its_development_run(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, controls="all", train__epochs=3)
    development = {step.row + step.recipe: step for step in plan.steps if step.kind == "development"}
    for step in (step for step in plan.steps if step.kind == "final"):
        other = development[step.row + step.recipe].settings
        assert (step.settings.method, step.settings.optim, step.settings.model, step.settings.train.epochs) == (
            (other.method, other.optim, other.model, 3)
        )


def test_a_control_changes_only_its_switches(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, controls="all", recipes=["svipctl"])
    switches = {row.name: row for row in all_rows()}
    full = final_runs(plan, "svipctl", FULL)[0].settings.method
    rows = {step.row for step in plan.steps if step.kind == "final"}
    assert {"sel-random", "sel-none", "sel-object", "e-none", "no-consistency", "vit-cls", "vit-mean"} <= rows
    for row in rows:
        changed = {key.removeprefix("method."): value for key, value in switches[row].switches.items()}
        assert final_runs(plan, "svipctl", row)[0].settings.method == full.model_copy(update=changed)


@pytest.mark.parametrize(
    ("recipe", "left_out"),
    [
        ("svipctl", {"e-words", "decorr-off", "pool-max", "score-cosine", "group-windows"}),
        ("reference", {"e-words", "decorr-on", "pool-mean", "score-dot", "group-runs"}),
    ],
)
def test_a_row_without_a_change_is_omitted_with_the_reason(recipe: str, left_out: set[str], tmp_path: Path) -> None:
    # Toybirds' preset has no decorrelation weight for `reference` but its recipe's 0.3.
    plan = plan_of(tmp_path, controls="all", recipes=[recipe])
    assert {name.removeprefix(f"{recipe}/") for name in plan.left_out} == left_out
    assert plan.left_out[f"{recipe}/e-words"] == "the recipe already does this"


def test_a_recipe_of_one_pass_has_no_controls_of_the_second(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, controls="all", recipes=["hybrid"], model__backbone="lite")
    rows = {step.row for step in plan.steps if step.kind == "final"}
    of_hybrid = {row.name for row in all_rows() if row.recipe == "hybrid"}
    assert of_hybrid <= rows <= of_hybrid | {FULL, "decorr-on", "score-dot"}
    assert "second pass" in plan.left_out["hybrid/sel-random"]
    assert "does not pool" in plan.left_out["hybrid/pool-max"]


def test_rows_with_unmet_requirements_are_omitted(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, controls="all", recipes=["svipctl"], available=[], model__window=1, method__context="free")
    assert plan.left_out["svipctl/sel-object"] == "the data set has neither masks nor boxes"
    assert plan.left_out["svipctl/e-words"].startswith("the data set has no word vectors")
    assert "a window is one patch" in plan.left_out["svipctl/group-runs"]


def test_flags_are_passed_to_the_commands_that_accept_them(tmp_path: Path) -> None:
    flags = ["model.backbone=vit_toy", "train.epochs=2", "gpu=cpu", "eval.bootstrap=10", "optim.lr=0.1"]
    plan = plan_of(tmp_path, controls="none", recipes=["svipctl"], flags=flags)
    by_kind = {step.kind: step for step in plan.steps}
    assert {kind for kind, step in by_kind.items() if "--backbone" in step.arguments} == {
        "baseline",
        "development",
        "final",
    }
    assert {kind for kind, step in by_kind.items() if "--epochs" in step.arguments} == {"development"}
    assert all("--gpu" in step.arguments and "--runs-dir" in step.arguments for step in plan.steps)
    assert option(by_kind["evaluation"], "--set") == ["eval.bootstrap=10"]
    assert by_kind["final"].settings.train.epochs == 2
    assert by_kind["final"].settings.optim.lr == 0.1


def test_a_folder_and_a_device_reach_every_command(tmp_path: Path) -> None:
    given = {"--gpu": "cpu", "--data-dir": "elsewhere", "--runs-dir": str(tmp_path)}
    for step in plan_of(tmp_path, controls="none", flags=["gpu=cpu", "data_dir=elsewhere"]).steps:
        assert {flag: option(step, flag) for flag in given} == {flag: [value] for flag, value in given.items()}


def test_a_configuration_file_reaches_every_command(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("[optim]\nlr = 0.5\n")
    plan = plan_of(tmp_path, controls="none", config=config)
    assert all(option(step, "--config") == [str(config)] for step in plan.steps)
    assert all("--lr" not in step.arguments for step in plan.steps)
    assert final_runs(plan, "svipctl", FULL)[0].settings.optim.lr == 0.5
    assert dict(pairwise(shlex.split(plan.request.command)))["--config"] == str(config)


def test_the_command_of_a_training_gives_the_settings_of_its_run(tmp_path: Path) -> None:
    """Independently of svipctl.toml: flags that repeat a preset's value are part of the command."""
    (tmp_path / "svipctl.toml").write_text("[optim]\nlr = 0.5\nbetas = [0.1, 0.2]\n")
    preset = resolve("cub").settings.optim.lr
    flags = [f"optim.lr={preset}", "method.keep=5e3", "model.backbone_args={img_size=32, norm='a b'}"]
    plan = plan_of(tmp_path / "runs", dataset="cub", controls="all", flags=flags, folder=tmp_path)
    command = get_command(make_app()).commands["train"]  # type: ignore[attr-defined]
    names = {"backbone": "model.backbone", "weights": "model.weights", "epochs": "train.epochs", "lr": "optim.lr"}
    names |= {"fold": "train.fold", **{name: name for name in ("recipe", "name", "seed", "runs_dir")}}
    for step in [step for step in plan.steps if step.kind in ("development", "final")]:
        with command.make_context("train", list(step.arguments[1:])) as context:
            given = context.params
        if step.kind == "final":
            given |= {"epochs": step.settings.train.epochs}
            given["assignments"] += ["train.select=last"]
        named = {key: given[name] for name, key in names.items()}
        again = resolve("cub", flags=named, assignments=given["assignments"], folder=tmp_path).settings
        assert again == step.settings
        assert (again.optim.lr, again.optim.betas) == (preset, (0.1, 0.2))


@pytest.mark.parametrize("flag", ["seed=5", "train.fold=2", "train={fold=2}"])
def test_a_setting_that_the_table_chooses_per_run_is_refused(flag: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the table sets it for each of its runs"):
        plan_of(tmp_path, flags=[flag])


def test_a_command_is_one_line_that_a_shell_reads_back(tmp_path: Path) -> None:
    for step in plan_of(tmp_path / "with space", controls="all").steps:
        assert "\n" not in step.command
        assert shlex.split(step.command) == ["svipctl", *step.arguments]


def test_controls_are_chosen_by_name_for_all_recipes_or_one() -> None:
    chosen = select_rows("sel-none,reference/e-none", "svipctl,reference")
    assert [row.name for row in chosen["svipctl"]] == ["full", "sel-none"]
    assert [row.name for row in chosen["reference"]] == ["full", "sel-none", "e-none"]
    assert [len(rows) for rows in select_rows("svipctl/all", "svipctl,reference").values()] == [
        len(all_rows("svipctl")),
        1,
    ]
    ours = {row.name for row in all_rows("hybrid")} - {row.name for row in all_rows("svipctl")}
    assert {"no-closed-form", "with-svip"} <= ours


@pytest.mark.parametrize(
    ("controls", "message"),
    [("sel-randon", "did you mean 'sel-random'"), ("paper/all", "is not among --recipes")],
)
def test_an_unknown_control_is_refused_with_the_nearest(controls: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select_rows(controls, "svipctl,reference")
    assert message in str(caught.value)


def test_the_request_is_a_command_line_for_the_same_table(tmp_path: Path) -> None:
    flags = ["optim.lr=0.1", "optim.weight_decay=0.01"]
    plan = plan_of(tmp_path, controls="sel-none,reference/all", flags=flags, seeds=3, baselines=[])
    words = shlex.split(plan.request.command)
    assert words[:3] == ["svipctl", "reproduce", "toybirds"]
    given = dict(pairwise(words))
    assert (given["--seeds"], given["--folds"], given["--lr"]) == ("3", "1", "0.1")
    assert given["--set"] == "optim.weight_decay=0.01"
    assert "--no-baselines" in words
    assert given["--controls"] == "svipctl/sel-none,reference/all"
    assert select_rows(given["--controls"], given["--recipes"]) == plan.request.rows
    assert shlex.split(plan_of(tmp_path, controls="none").request.command)[5:7] == ["--controls", "none"]
