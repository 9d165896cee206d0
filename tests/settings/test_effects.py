"""Test that each setting has an effect on a command, or is refused by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svipctl.cli import baseline, eval_, export, predict, tune
from svipctl.cli._command import Command
from svipctl.cli._overrides import Overrides
from svipctl.cli.data import pack
from svipctl.cli.visualize import attention, attributes, compare, confusion, curves, embedding, patches, report, sheet
from svipctl.datasets.images import Geometry
from svipctl.errors import ConfigError
from svipctl.inference.load import load
from svipctl.settings import effects
from svipctl.settings.effects import PUBLISHED, check_effect, is_read
from svipctl.settings.keys import flatten, known_keys
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from tests.conftest import Command as Forked

KEYS = [key for key, _ in known_keys()]
OF_A_RUN = ("method.", "model.", "optim.", "train.", "recipe", "name", "data.resize", "data.augment", "data.normalise")
"""Settings that a run fixes."""
COMMANDS: dict[str, Command] = {
    "eval": eval_.eval_,
    "predict": predict.predict,
    "export": export.export,
    "pack": pack.pack,
    "attention": attention.attention,
    "attributes": attributes.attributes,
    "patches": patches.patches,
    "sheet": sheet.sheet,
    "compare": compare.compare,
    "confusion": confusion.confusion,
    "curves": curves.curves,
    "embedding": embedding.embedding,
    "report": report.report,
    "baseline": baseline.baseline,
    "tune": tune.tune,
}
GROUPS = {
    name: getattr(effects, name)
    for name in ("EXPORT", "IMAGES", "PREDICTION", "EVALUATION", "PUBLISHED", "PACKING", "BASELINE", "TUNING")
}


def assignment(key: str) -> str:
    value = flatten(Settings(dataset="cub"))[key]
    return f"{key}={json.dumps(value, default=str)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_key_of_the_schema_is_read_by_a_command_or_refused(name: str) -> None:
    command = COMMANDS[name]
    assert command.reads is not None
    for key in KEYS:
        overrides = Overrides(assignments=(assignment(key),), reads=command.reads)
        if key != "dataset" and is_read(key, command.reads):
            check_effect(overrides.assignments, overrides.reads)
            continue
        with pytest.raises(ConfigError) as refused:
            overrides.resolve("cub")
        assert key in refused.value.what
        assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("pack", "baseline", "tune")])
def test_settings_that_a_run_fixes_are_refused_by_every_command_that_uses_a_run(name: str) -> None:
    fixed = [key for key in KEYS if is_read(key, OF_A_RUN)]
    assert len(fixed) > 60
    assert not [key for key in fixed if is_read(key, COMMANDS[name].reads)]


@pytest.mark.parametrize("name", GROUPS)
def test_every_key_that_a_command_reads_is_in_the_schema_and_documented(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for one in GROUPS[name]:
        assert any(is_read(key, [one]) for key in KEYS), one
        assert f"`{one.rstrip('.')}" in page, one


@pytest.mark.parametrize(
    "given",
    [
        "data={normalise='half'}",
        "method={keep=3}",
        " model.window = 4",
        "model.backbone_args.depth=3",
        "dataset=x",
        "lr=3",
    ],
)
def test_a_key_is_refused_in_every_form(given: str) -> None:
    with pytest.raises(ConfigError, match="does not read"):
        check_effect([given], effects.EVALUATION)


def test_settings_of_the_network_are_read_for_a_published_file() -> None:
    check_effect(["model.window=4", "data.normalise=half", "method.keep=40"], (*effects.EVALUATION, *PUBLISHED))
    with pytest.raises(ConfigError, match=r"optim\.lr"):
        check_effect(["optim.lr=1"], (*effects.EVALUATION, *PUBLISHED))


def test_an_unknown_key_is_left_to_the_error_that_names_the_nearest() -> None:
    check_effect(["optim.lrr=1", "nothing"], effects.EVALUATION)
    with pytest.raises(ConfigError, match="error"):
        Overrides(assignments=("evall.bootstrap=1",), reads=effects.EVALUATION).resolve("cub")


def test_the_command_line_refuses_settings_without_effect(command: Forked, trained: Path, tmp_path: Path) -> None:
    for assigned in ("data.normalise=half", "model.window=4"):
        done = command("eval", "cub", "--run", str(trained), "--set", assigned)
        assert (done.code, done.stdout) == (2, "")
        assert assigned.partition("=")[0] in done.stderr


def test_a_run_is_evaluated_with_the_resize_of_its_training(
    command: Forked, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    for name, more, expected in (
        ("square", ("--set", "data.resize=square"), "square"),
        ("published", ("--set", "data.resize=square", "--set", "data.test_resize=shorter-side"), "shorter-side"),
    ):
        done = command("train", str(shared_folder), *tiny, "--name", name, *more)
        assert done.code == 0, done.stderr
        assert load(tmp_path / "runs" / "small" / name, device="cpu").geometry == Geometry(expected, 32)  # type: ignore[arg-type]


def test_the_published_recipe_of_awa2_trains_on_squares_and_is_tested_on_centre_crops() -> None:
    data = resolve("awa2", flags={"recipe": "reference"}).settings.data
    assert (data.resize, data.evaluation_resize) == ("square", "shorter-side")
    assert resolve("awa2").settings.data.evaluation_resize == "shorter-side"
