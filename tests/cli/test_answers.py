"""What completion answers, request by request."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.cli.answers import answer, candidates, split_line, table
from svipctl.settings.layers import known_keys


def values(line: str) -> list[str]:
    return [value for value, _ in candidates(split_line(line))[1]]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cub/a", "cub/b", "sun/c")):
        folder = tmp_path / "runs" / name
        (folder / "checkpoints" / "best").mkdir(parents=True)
        (folder / "config.toml").write_text("")
        if name == "cub/a":
            (folder / "finished.json").write_text("{}")
        os.utime(folder, (number, number))
    (tmp_path / "runs" / "cub" / "no-run").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("svipctl ", ["svipctl", ""]),
        ("svipctl tr", ["svipctl", "tr"]),
        ("svipctl train 'my b", ["svipctl", "train", "my b"]),
        ("svipctl train my\\ b", ["svipctl", "train", "my b"]),
        ("", [""]),
    ],
)
def test_an_unfinished_line_is_split_as_the_shell_would(line: str, words: list[str]) -> None:
    assert split_line(line) == words


def test_runs_of_the_data_set_come_newest_first_and_unfinished_ones_resume(runs: Path) -> None:
    assert values("svipctl eval cub --run ") == ["b", "a"]
    assert values("svipctl eval cub --runs-dir elsewhere --run ") == []
    assert values("svipctl train cub --resume ") == ["auto", "b"]


def test_values_of_options(runs: Path) -> None:
    assert values("svipctl train cub --fold ") == ["1", "2", "3"]
    assert values("svipctl train cub --gpu ")[:2] == ["auto", "cpu"]
    assert values("svipctl train cub --recipe=pa") == ["--recipe=paper"]
    assert values("svipctl config show cub --diff s") == ["sun", "svipctl"]
    assert candidates(split_line("svipctl train cub --config "))[0] == "files"
    assert values("svipctl train cub --set optim.optimizer=") == ["optim.optimizer=adam", "optim.optimizer=adamw"]
    assert values("svipctl train cub --lr ") == []


def test_attribute_names_are_those_of_the_data_set(runs: Path) -> None:
    from svipctl.cli import complete

    (runs / "data" / "toybirds").mkdir(parents=True)
    (runs / "data" / "toybirds" / "attributes.csv").write_text("class,has_size::small,has_size::large\n")
    assert complete.attributes("has", ["toybirds"]) == ["has_size::small", "has_size::large"]
    assert complete.attributes("", ["cub"]) == []


def test_the_table_has_every_key_of_the_configuration() -> None:
    assert set(table()["settings"]) == {key for key, _ in known_keys()}


def test_bash_gets_what_follows_its_word_break() -> None:
    environment = {"_SVIPCTL_COMPLETE": "bash", "_SVIPCTL_LINE": "svipctl train cub --recipe=pa"}
    assert answer(environment) == "values\npaper"


@given(st.text(max_size=40), st.sampled_from(["bash", "zsh", "fish", "powershell", "tcsh"]))
def test_no_line_makes_it_fail(line: str, shell: str) -> None:
    assert isinstance(answer({"_SVIPCTL_COMPLETE": shell, "_SVIPCTL_LINE": f"svipctl {line}"}), str)
