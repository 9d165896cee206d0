"""Test answers to completion requests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.cli._main import answer
from svipctl.cli.completion import completion_script
from svipctl.settings.keys import known_choices, known_keys
from tests.cli.program import ROOT
from tests.processes import clean_environment


def ask(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str = "fish") -> str:
    """Return what a shell gets for this line up to the cursor."""
    with monkeypatch.context() as patch:
        patch.setenv("_SVIPCTL_COMPLETE", f"complete_{shell}")
        patch.setenv("_TYPER_COMPLETE_ARGS", line)
        patch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        answer()
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


class Asker:
    """Requests the values that may follow a line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, line: str) -> list[str]:
        answer = ask(line, self.monkeypatch, self.capsys)
        return [one.partition("\t")[0] for one in answer.splitlines() if one]


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(monkeypatch, capsys)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cub/a", "cub/b", "sun/c")):
        folder = tmp_path / "runs" / name
        (folder / "checkpoints" / "best").mkdir(parents=True)
        (folder / "config.toml").write_text("")
        if name == "cub/a":
            (folder / "finished.json").write_text("{}")
        os.utime(folder / "config.toml", (number, number))
    (tmp_path / "runs" / "cub" / "no-run").mkdir()
    return tmp_path


def test_commands_and_options_have_their_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("svipctl visualize patc", monkeypatch, capsys).startswith("patches\tShow the patch selection")
    assert ask("svipctl eval cub --save", monkeypatch, capsys).strip() == ""
    assert ask("svipctl train cub --see", monkeypatch, capsys).strip() == "--seed\tRandom seed."


def test_runs_of_the_data_set_are_offered_newest_first_and_unfinished_ones_for_resume(
    runs: Path, values: Asker
) -> None:
    assert values("svipctl eval cub --run ") == ["b", "a"]
    assert values("svipctl eval cub --runs-dir elsewhere --run ") == []
    assert values("svipctl train cub --resume ") == ["auto", "b"]
    assert values("svipctl visualize compare ") == ["c", "b", "a"]


def test_runs_of_another_data_set_are_not_offered(runs: Path, values: Asker) -> None:
    assert values("svipctl eval awa2 --run ") == []
    assert values("svipctl eval sun --run ") == ["c"]
    (runs / "mine").mkdir()
    (runs / "mine" / "attributes.csv").write_text("class,a\nwren,1\n")
    assert values("svipctl eval mine --run ") == []


def test_without_a_data_set_an_ambiguous_run_name_is_offered_with_its_data_set(runs: Path, values: Asker) -> None:
    (runs / "runs" / "sun" / "a").mkdir()
    (runs / "runs" / "sun" / "a" / "config.toml").write_text("")
    assert sorted(values("svipctl predict one.jpg --run ")) == ["b", "c", "cub/a", "sun/a"]
    assert values("svipctl predict one.jpg --run cub/") == ["cub/a"]


def test_after_a_comma_the_next_list_entry_is_completed(values: Asker) -> None:
    assert values("svipctl reproduce cub --recipes svipctl,re") == ["svipctl,reference"]
    assert values("svipctl reproduce cub --recipes svipctl,") == [
        f"svipctl,{recipe}" for recipe in ("hybrid", "reference", "paper")
    ]
    assert values("svipctl reproduce cub --controls sel-none,reference/e-n") == ["sel-none,reference/e-none"]
    assert values("svipctl reproduce cub --controls no-pa") == ["no-patch-loss"]
    assert {"all", "none", "svipctl/all", "pool-max"} <= set(values("svipctl reproduce cub --controls "))


def test_values_of_options_are_offered(values: Asker) -> None:
    assert values("svipctl train cub --fold ") == ["1", "2", "3"]
    assert values("svipctl train cub --gpu ") == ["auto", "cpu"]
    assert values("svipctl train cub --weights p") == ["pretrained"]
    assert values("svipctl config show cub --diff s") == ["sun", "svipctl"]
    assert values("svipctl config show cub --diff cub,p") == ["cub,paper"]
    assert values("svipctl train cub --set optim.optimizer=") == ["optim.optimizer=adam", "optim.optimizer=adamw"]
    assert values("svipctl export cub --format o") == ["onnx"]
    assert values("svipctl visualize sheet cub --theme ") == ["light", "dark"]
    assert values("svipctl visualize patches cub --split u") == ["unseen"]
    assert values("svipctl completion z") == ["zsh"]
    assert values("svipctl train cub --lr ") == []


def test_a_checkpoint_folder_of_the_data_set_is_offered(runs: Path, values: Asker) -> None:
    assert values("svipctl eval sun --checkpoint ") == ["runs/sun/c/checkpoints/best/"]


@pytest.mark.parametrize("line", ["svipctl predict ", "svipctl train cub --config ", "svipctl train ./"])
def test_files_are_completed_by_the_shell(line: str, values: Asker) -> None:
    assert values(line) == []


def test_classes_and_attributes_are_those_of_the_data_set(runs: Path, values: Asker) -> None:
    (runs / "data" / "toybirds").mkdir(parents=True)
    (runs / "data" / "toybirds" / "attributes.csv").write_text("class,has_size::small,has_size::large\nwren,1,0\n")
    assert values("svipctl visualize attributes toybirds --attribute has") == ["has_size::small", "has_size::large"]
    assert values("svipctl visualize patches toybirds --class ") == ["wren"]
    assert values("svipctl visualize attributes cub --attribute ") == []


@pytest.mark.parametrize(
    "name", ["$(touch x)", "`x`", "a b", "a;b", "w*g", "'", '"', "\\", "a\tb", "a|b", "(a)", "~a", "!a"]
)
def test_a_name_with_shell_syntax_is_not_offered(name: str, runs: Path, values: Asker) -> None:
    (runs / "runs" / "cub" / name).mkdir()
    (runs / "runs" / "cub" / name / "config.toml").write_text("")
    assert values("svipctl eval cub --run ") == ["b", "a"]


def test_stored_names_for_completion_are_those_of_the_program(values: Asker) -> None:
    from svipctl.model import lite_weights
    from svipctl.model.backbone import ALIASES
    from svipctl.settings.layers import RECIPES

    assert set(values("svipctl train cub --backbone ")) == {lite_weights.NAME, *ALIASES}
    assert values("svipctl train cub --recipe ") == list(RECIPES)
    assert set(values("svipctl train cub --set ")) == {f"{key}=" for key, _ in known_keys()}
    assert set(known_choices()["precision"]) == set(values("svipctl train cub --precision "))


def test_folders_of_the_project_file_are_used_unless_a_flag_or_the_environment_overrides_them(
    runs: Path, monkeypatch: pytest.MonkeyPatch, values: Asker
) -> None:
    (runs / "runs").rename(runs / "kept")
    assert values("svipctl eval cub --run ") == []
    (runs / "svipctl.toml").write_text('runs_dir = "kept"\n')
    assert values("svipctl eval cub --run ") == ["b", "a"]
    assert values("svipctl eval cub --runs-dir other --run ") == []
    monkeypatch.setenv("SVIPCTL_RUNS_DIR", "other")
    assert values("svipctl eval cub --run ") == []


@pytest.mark.parametrize("content", [b"runs_dir = ", b"\xff\xfe", b"runs_dir = 3\n", b'runs_dir = "notes.txt"\n'])
def test_a_damaged_file_prints_no_error_and_leaves_the_other_completions(
    content: bytes, runs: Path, values: Asker
) -> None:
    (runs / "notes.txt").write_text("")
    (runs / "svipctl.toml").write_bytes(content)
    (runs / "runs" / "cub" / "a" / "config.toml").write_bytes(b"\xff not toml")
    expected = set() if b"notes" in content else {"b", "a"}
    assert set(values("svipctl eval cub --run ")) == expected
    assert values("svipctl eval cub --runs-dir notes.txt --run ") == []
    assert values("svipctl train toy") == ["toybirds"]


@pytest.mark.parametrize("line", ["svipctl eval cub --run ", "svipctl train ./", "svipctl train cu"])
def test_a_request_from_a_deleted_folder_or_an_unreadable_one_prints_no_error(line: str, tmp_path: Path) -> None:
    for name, before in (("gone", 'rmdir "$PWD"'), ("closed", 'mkdir runs && chmod 0 runs && echo "[" > svipctl.toml')):
        (tmp_path / name).mkdir()
        done = subprocess.run(
            ["sh", "-c", f'{before}; exec "$0" -m svipctl', sys.executable], cwd=tmp_path / name, capture_output=True,
            env=clean_environment(PYTHONPATH=str(ROOT), _SVIPCTL_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line),
            text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("train", "cub", "--recipe", "=", "pa"), "paper\n"),
        (("train", "cub", "--set", "optim.optimizer", "=", "adamw"), "adamw\n"),
        (("train", "cub", "--set", "train.fold", "=", "1", "--recipe", "pa"), "paper\n"),
    ],
)
def test_bash_gets_only_what_follows_its_word_break(
    words: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_WORDS", "\n".join(["svipctl", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    assert ask("", monkeypatch, capsys, "bash") == expected


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(line=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "tcsh"])
def test_no_line_prints_an_error(
    line: str, shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(f"svipctl {line}", monkeypatch, capsys, shell)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_command_prints_typers_script(shell: str) -> None:
    assert "svipctl" in completion_script(shell)
    assert "_SVIPCTL_COMPLETE" in completion_script(shell)
