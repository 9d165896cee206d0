"""What completion answers, request by request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.cli.answers import answer, candidates, split_line, table
from svipctl.settings.layers import known_keys
from tests.cli.program import ROOT
from tests.processes import clean_environment


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
        os.utime(folder / "config.toml", (number, number))
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


def test_runs_of_another_data_set_are_not_offered(runs: Path) -> None:
    assert values("svipctl eval awa2 --run ") == []
    assert values("svipctl eval sun --run ") == ["c"]
    (runs / "mine").mkdir()
    (runs / "mine" / "attributes.csv").write_text("class,a\nwren,1\n")
    assert values("svipctl eval mine --run ") == []


def test_without_a_data_set_a_name_that_several_have_is_offered_with_its_own(runs: Path) -> None:
    (runs / "runs" / "sun" / "a").mkdir()
    (runs / "runs" / "sun" / "a" / "config.toml").write_text("")
    assert sorted(values("svipctl predict one.jpg --run ")) == ["b", "c", "cub/a", "sun/a"]
    assert values("svipctl predict one.jpg --run cub/") == ["cub/a"]
    assert values("svipctl predict one.jpg --run runs/cub/n") == ["runs/cub/no-run/"]


def test_after_a_comma_comes_the_next_of_a_list(runs: Path) -> None:
    assert values("svipctl reproduce cub --recipes svipctl,re") == ["svipctl,reference"]
    assert values("svipctl reproduce cub --recipes svipctl,") == ["svipctl,reference", "svipctl,paper"]
    assert values("svipctl reproduce cub --controls sel-none,reference/e-n") == ["sel-none,reference/e-none"]
    assert values("svipctl reproduce cub --controls no-p") == ["no-patch-loss"]
    assert {"all", "none", "svipctl/all", "pool-max"} <= set(values("svipctl reproduce cub --controls "))
    assert values("svipctl train cub --gpu 0,c") == []


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


def test_names_written_down_for_completion_are_those_of_the_program() -> None:
    from svipctl.cli import complete
    from svipctl.cli.reproduce import _LAUNCHERS
    from svipctl.model import lite
    from svipctl.model.backbone import ALIASES
    from svipctl.settings.layers import RECIPES

    assert set(complete.backbones("", [])) == {lite.NAME, *ALIASES}
    assert set(complete.recipes("", [])) == set(RECIPES)
    assert complete.launchers("", []) == list(_LAUNCHERS)


def test_values_of_one_kind_complete_wherever_they_are_taken(runs: Path) -> None:
    (runs / "jax.npz").write_text("")
    (runs / "published.pth").write_text("")
    assert values("svipctl train cub --weights ja") == ["jax.npz"]
    assert values("svipctl eval cub --checkpoint pub") == ["published.pth"]
    assert values("svipctl eval cub --checkpoint runs/cub/b/ch") == ["runs/cub/b/checkpoints/"]
    assert values("svipctl eval cub --checkpoint runs/cub/b/checkpoints/") == ["runs/cub/b/checkpoints/best/"]
    assert "runs/cub/b/checkpoints/best/" in values("svipctl eval cub --checkpoint ")
    assert values("svipctl visualize sheet cub --theme ") == ["light", "dark"]
    assert values("svipctl visualize patches cub --split u") == ["unseen"]
    assert values("svipctl visualize compare ") == ["c", "b", "a"]
    assert values("svipctl config show cub --diff cub,p") == ["cub,paper"]
    assert candidates(split_line("svipctl predict pho"))[0] == "files"
    assert candidates(split_line("svipctl visualize patches cub one.jpg tw"))[0] == "files"


def test_folders_of_the_project_file_are_looked_into_below_flags_and_environment(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / "runs").rename(runs / "kept")
    assert values("svipctl eval cub --run ") == []
    (runs / "svipctl.toml").write_text('runs_dir = "kept"\n')
    assert values("svipctl eval cub --run ") == ["b", "a"]
    assert values("svipctl eval cub --runs-dir other --run ") == []
    monkeypatch.setenv("SVIPCTL_RUNS_DIR", "other")
    assert values("svipctl eval cub --run ") == []


@pytest.mark.parametrize("content", [b"runs_dir = ", b"\xff\xfe", b"runs_dir = 3\n", b'runs_dir = "notes.txt"\n'])
def test_what_is_damaged_or_closed_gives_no_error_but_the_rest(runs: Path, content: bytes) -> None:
    (runs / "notes.txt").write_text("")
    (runs / "svipctl.toml").write_bytes(content)
    (runs / "runs" / "cub" / "a" / "config.toml").write_bytes(b"\xff not toml")
    expected = set() if b"notes" in content else {"b", "a"}
    assert set(values("svipctl eval cub --run ")) == expected
    assert values("svipctl eval cub --runs-dir notes.txt --run ") == []
    assert values("svipctl train toy") == ["toybirds"]


@pytest.mark.parametrize(
    "line", ["svipctl eval cub --run ", "svipctl train ./", "svipctl train cu", "svipctl predict "]
)
def test_a_request_from_a_folder_that_is_gone_or_of_folders_that_are_closed_says_nothing_wrong(
    line: str, runs: Path, tmp_path: Path
) -> None:
    for name, before in (("gone", 'rmdir "$PWD"'), ("closed", 'mkdir runs && chmod 0 runs && echo "[" > svipctl.toml')):
        (tmp_path / name).mkdir()
        done = subprocess.run(
            ["sh", "-c", f'{before}; exec "$0" -m svipctl', sys.executable], cwd=tmp_path / name, capture_output=True,
            env=clean_environment(PYTHONPATH=str(ROOT), _SVIPCTL_COMPLETE="zsh", _SVIPCTL_LINE=line), text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), name
        assert done.stdout.splitlines()[:1] in (["values"], ["files"])


def test_the_table_has_every_key_of_the_configuration() -> None:
    assert set(table()["settings"]) == {key for key, _ in known_keys()}


def test_bash_gets_what_follows_its_word_break() -> None:
    environment = {"_SVIPCTL_COMPLETE": "bash", "_SVIPCTL_LINE": "svipctl train cub --recipe=pa"}
    assert answer(environment) == "values\npaper"


@given(st.text(max_size=40), st.sampled_from(["bash", "zsh", "fish", "powershell", "tcsh"]))
def test_no_line_makes_it_fail(line: str, shell: str) -> None:
    assert isinstance(answer({"_SVIPCTL_COMPLETE": shell, "_SVIPCTL_LINE": f"svipctl {line}"}), str)
