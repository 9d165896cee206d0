"""Test `svipctl config show`: every setting, its value and its origin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from svipctl.settings.keys import known_keys
from tests.cli.program import ROOT
from tests.conftest import Command
from tests.processes import clean_environment, fresh


def test_every_setting_is_shown_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text("[train]\nepochs = 7\n")
    (tmp_path / "mine.toml").write_text("[optim]\nlr = 0.25\n")
    flags = ("--origin", "--json", "--config", "mine.toml", "--set", "train.batch_size=3", "--recipe", "reference")
    done = fresh("config", "show", "cub", *flags, cwd=tmp_path, environment={"SVIPCTL_OPTIM__WARMUP_LR": "0.5"})
    assert done.code == 0, done.stderr
    settings, origins = done.document["settings"], done.document["origins"]
    assert set(origins) == {key for key, _ in known_keys()}
    shown = {
        "train.epochs": (settings["train"]["epochs"], 7, "svipctl.toml"),
        "optim.lr": (settings["optim"]["lr"], 0.25, "mine.toml"),
        "optim.warmup_lr": (settings["optim"]["warmup_lr"], 0.5, "environment"),
        "train.batch_size": (settings["train"]["batch_size"], 3, "flag"),
        "model.backbone": (settings["model"]["backbone"], "vit_base", "preset cub, reference"),
        "method.keep": (settings["method"]["keep"], 40, "preset cub"),
        "method.score_pooling": (settings["method"]["score_pooling"], "runs", "recipe reference"),
        "eval.bootstrap": (settings["eval"]["bootstrap"], 1000, "default"),
    }
    for key, (value, expected, origin) in shown.items():
        assert (value, origins[key]) == (expected, origin), key


def test_text_has_one_line_per_setting(tmp_path: Path) -> None:
    done = fresh("config", "show", "--origin", cwd=tmp_path)
    assert done.code == 0, done.stderr
    lines = dict(line.removeprefix("# ").split(" = ", 1) for line in done.stdout.splitlines())
    assert list(lines) == [key for key, _ in known_keys()]
    assert lines["optim.lr"].split() == ["0.001", "#", "preset", "toybirds"]
    assert lines["offline"].split() == ["false", "#", "default"]


@pytest.mark.parametrize("flags", [(), ("--origin",), ("--describe", "--origin"), ("--backbone", "lite")])
def test_the_output_is_a_valid_configuration_file(flags: tuple[str, ...], command: Command, tmp_path: Path) -> None:
    shown = command("config", "show", "cub", "--set", "model.backbone_args={depth = 3}", *flags)
    (tmp_path / "mine.toml").write_text(shown.stdout)
    again = command("config", "show", "cub", "--config", "mine.toml", "--json")
    assert again.code == 0, again.stderr
    direct = command("config", "show", "cub", "--set", "model.backbone_args={depth = 3}", *flags, "--json")
    assert again.document["settings"] == direct.document["settings"]


def test_every_setting_is_described(command: Command) -> None:
    assert [key for key, field in known_keys() if not field.description] == []
    descriptions = command("config", "show", "--describe", "--json").document["descriptions"]
    assert descriptions["optim.lr"] == "Learning rate after warm-up."
    assert "# Learning rate after warm-up.\noptim.lr = " in command("config", "show", "--describe").stdout


def test_only_values_that_differ_from_a_preset_are_shown_with_both_values(tmp_path: Path) -> None:
    done = fresh("config", "show", "cub", "--diff", "reference", "--set", "seed=3", "--json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.document["preset"] == "reference"
    different = done.document["differences"]
    assert different["seed"] == {"preset": 0, "value": 3}
    assert different["method.class_score"] == {"preset": "dot", "value": "cosine"}
    assert "model.window" not in different
    same = fresh("config", "show", "cub", "--diff", "cub", cwd=tmp_path)
    assert (same.code, same.stdout, same.stderr) == (0, "", "no differences from cub\n")


def test_a_name_that_is_not_a_data_set_is_not_taken_for_a_folder(tmp_path: Path) -> None:
    done = fresh("config", "show", "cubb", cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert "did you mean 'cub'?" in done.stderr
    (tmp_path / "cubb").mkdir()
    assert fresh("config", "show", "cubb", cwd=tmp_path).code == 0


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_number_that_json_does_not_have_is_refused(value: str, tmp_path: Path) -> None:
    assignments = ("--set", f"optim.lr={value}", "--set", f"method.scale={value}")
    done = fresh("config", "show", "cub", *assignments, "--json", cwd=tmp_path)
    assert done.code == 2
    assert "optim.lr" in done.document["error"]["why"]
    assert "method.scale" in done.document["error"]["why"]


def test_a_deleted_working_folder_is_an_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$0" -m svipctl config show cub', sys.executable],
        cwd=gone, env=clean_environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the working folder does not exist any more\n")
