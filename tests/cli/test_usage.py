"""Test an invalid command line: what is wrong, the nearest names, what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

import svipctl.errors
from svipctl.cli._errors import report
from svipctl.cli._output import sink
from svipctl.errors import ExitCode, SvipError
from tests.conftest import Command

ERRORS = [one for one in vars(svipctl.errors).values() if isinstance(one, type) and issubclass(one, SvipError)]


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("trian",), "'train'"),
        (("data", "fech", "cub"), "'fetch'"),
        (("train", "cub", "--epoch", "3"), "--epochs"),
        (("train", "cub", "--set", "optim.lrr=1"), "'optim.lr'"),
        (("train", "cubb"), "'cub'"),
        (("train", "cub", "--recipe", "papper"), "'paper'"),
        (("data", "status", "awa"), "'awa2'"),
        (("config", "show", "cub", "--diff", "refrence"), "'reference'"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(words: tuple[str, ...], near: str, command: Command) -> None:
    done = command(*words)
    assert done.code == ExitCode.USAGE
    assert done.stderr.startswith("error: ")
    assert "did you mean" in done.stderr
    assert near in done.stderr


def test_a_misspelt_folder_suggests_the_existing_one(command: Command, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "attributes.csv").write_text("class,a\n")
    assert "did you mean 'birds'" in command("train", "brids").stderr


def test_an_unknown_recipe_is_reported_once_with_its_source(command: Command, tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text('recipe = "papper"\n')
    done = command("train", "cub", "--dry-run")
    assert done.stderr.count("papper") == 1
    assert "recipe (svipctl.toml): there is no recipe 'papper' (did you mean 'paper'?)" in done.stderr


def test_a_misspelt_run_name_suggests_the_nearest(trained_copy: Path, command: Command, shared_folder: Path) -> None:
    done = command("eval", str(shared_folder), "--run", "frist")
    assert done.code == ExitCode.DATA
    assert "did you mean 'first'?" in done.stderr


def test_an_unparsable_command_line_with_json_gives_one_document(command: Command) -> None:
    done = command("train", "cub", "--epochs", "many", "--json")
    assert done.code == ExitCode.USAGE
    assert "--epochs" in done.document["error"]["what"]
    assert done.document["error"]["todo"] == "svipctl train --help"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_states_what_happened_why_and_what_to_type(
    kind: type[SvipError], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "json", False)
    assert report(kind("what is wrong", why="because", todo="svipctl doctor")) is kind.exit_code
    assert capsys.readouterr().err == "error: what is wrong\n  because\n  next: svipctl doctor\n"


@pytest.mark.parametrize("words", [("eval_",), ("data", "import_")])
def test_the_name_of_a_function_is_not_a_command(words: tuple[str, ...], command: Command) -> None:
    done = command(*words, "--help")
    assert done.code == ExitCode.USAGE
    assert f"no such command '{words[-1]}'" in done.stderr


def test_a_tilde_after_an_equals_sign_is_the_home_folder(command: Command) -> None:
    done = command("data", "status", "cub", "--data-dir=~/sets", "--json")
    assert done.document["data_dir"] == str(Path.home() / "sets")


def test_a_printed_command_repeats_a_data_set_that_begins_with_a_dash(small_folder: Path, command: Command) -> None:
    small_folder.rename(small_folder.with_name("-birds"))
    done = command("eval", "--", "-birds")
    assert done.stderr.endswith("next: train one: svipctl train ./-birds\n")


def test_debug_shows_the_traceback(command: Command) -> None:
    assert "Traceback" not in command("train", "nowhere").stderr
    assert "Traceback" in command("train", "nowhere", "--debug").stderr
