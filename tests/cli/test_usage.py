"""A command line that cannot be used: what is wrong, the nearest names, what to type; and no list of words breaks it."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

import svipctl.errors
from svipctl.cli import app as app_module
from svipctl.cli import configure
from svipctl.cli.answers import table
from svipctl.cli.errors import report
from svipctl.cli.main import main
from svipctl.cli.output import sink
from svipctl.errors import CheckFailed, ExitCode, SvipError
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
def test_a_misspelt_name_is_answered_with_the_nearest(words: tuple[str, ...], near: str, command: Command) -> None:
    done = command(*words)
    assert done.code == ExitCode.USAGE
    assert done.stderr.startswith("error: ")
    assert "did you mean" in done.stderr
    assert near in done.stderr


def test_a_misspelt_run_is_answered_with_the_nearest(trained_copy: Path, command: Command, shared_folder: Path) -> None:
    done = command("eval", str(shared_folder), "--run", "frist")
    assert done.code == ExitCode.DATA
    assert "did you mean 'first'?" in done.stderr


def test_with_json_a_command_line_that_does_not_parse_is_one_document_too(command: Command) -> None:
    done = command("train", "cub", "--epochs", "many", "--json")
    assert done.code == ExitCode.USAGE
    assert "--epochs" in done.document["error"]["what"]
    assert done.document["error"]["todo"] == "svipctl train --help"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_why_and_what_to_type(
    kind: type[SvipError], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "json", False)
    assert report(kind("what is wrong", why="because", todo="svipctl doctor")) is kind.exit_code
    assert capsys.readouterr().err == "error: what is wrong\n  because\n  next: svipctl doctor\n"


def test_debug_shows_the_traceback(command: Command) -> None:
    assert "Traceback" not in command("train", "nowhere").stderr
    assert "Traceback" in command("train", "nowhere", "--debug").stderr


def words() -> st.SearchStrategy[list[str]]:
    """Lists that are mostly made of what the program knows, so that they get far, and partly of anything."""

    def names(node: dict[str, Any]) -> Iterator[str]:
        yield from (name for name in node["options"] if name != "--debug")
        for name, inner in node.get("commands", {}).items():
            yield name
            yield from names(inner)

    known = sorted(set(names(table()["program"])))
    settings_ = [f"{key}={value}" for key in table()["settings"] for value in ("1", "x", "[]", "{}", "")]
    values = [
        "cub",
        "toybirds",
        "folder",
        "1",
        "-1",
        "1e-4",
        "nan",
        "",
        "auto",
        "cpu",
        "=",
        "--",
        "-",
        "--=",
        "\0",
        "./",
    ]
    word = st.sampled_from(known) | st.sampled_from(values) | st.sampled_from(settings_) | st.text(max_size=8)
    return st.lists(word.filter(lambda word: word != "--debug"), max_size=7)


def test_no_list_of_words_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 lists in this process, each up to the settled configuration; what a command does with that is left out."""
    monkeypatch.chdir(tmp_path)
    resolve = configure.resolved

    def settled(*given: Any, **flags: Any) -> Any:
        resolve(*given, **flags)
        raise CheckFailed("settled")

    monkeypatch.setattr(configure, "resolved", settled)
    monkeypatch.setattr(app_module, "app", get_command(app_module.app))
    monkeypatch.setattr("svipctl.cli.help.print_asked_page", lambda app, arguments: False)
    reached: set[str] = set()

    @settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(words())
    def survives(arguments: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["svipctl", *arguments])
        for flag in ("json", "quiet", "debug"):
            setattr(sink, flag, False)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        said = err.getvalue()
        assert ended.value.code in set(ExitCode), said
        assert "Traceback" not in said
        assert "report what it prints" not in said
        reached.update(word for word in ("settled", "no such", "configuration has") if word in said)

    survives()
    assert {"settled", "no such"} <= reached
    for flag in ("json", "quiet", "debug"):
        setattr(sink, flag, False)
