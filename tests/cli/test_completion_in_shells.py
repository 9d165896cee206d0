"""Test completion in real shells at a terminal: type a line, press TAB, and let the shell run the completed line."""

from __future__ import annotations

import csv
import os
import pty
import re
import select
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import ROOT, install_in
from tests.processes import clean_environment

pytestmark = pytest.mark.slow

COMPLETIONS = ROOT / "completions"
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"source {COMPLETIONS}/svipctl.bash"),
    "zsh": (["zsh", "-f", "-i"], f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -D -u"),
    "fish": (["fish", "--no-config", "-i"], f"source {COMPLETIONS}/svipctl.fish"),
}
CASES = {
    "svipctl tr\t": ["train"],
    "svipctl visualize patc\t": ["visualize", "patches"],
    "svipctl train cu\t": ["train", "cub"],
    "svipctl train cub --sav\t": ["train", "cub", "--save-every"],
    "svipctl eval cub --run \t": ["eval", "cub", "--run", "only-one"],
    "svipctl eval cub --runs-dir old --run \t": ["eval", "cub", "--runs-dir", "old", "--run", "early"],
    "svipctl eval cub --runs-dir new --run \t": ["eval", "cub", "--runs-dir", "new", "--run"],
    "svipctl train cub --backbone li\t": ["train", "cub", "--backbone", "lite"],
    "svipctl predict mi\t": ["predict", "mine.toml"],
    "svipctl train cub --set optim.warmup_l\t": ["train", "cub", "--set", "optim.warmup_lr="],
    "svipctl train cub --set optim.optimizer=adamw\t": ["train", "cub", "--set", "optim.optimizer=adamw"],
    "svipctl train cub --config min\t": ["train", "cub", "--config", "mine.toml"],
    "svipctl train my\\ b\t": ["train", "my birds"],
    "svipctl train cub --config my\\ d\t": ["train", "cub", "--config", "my data.toml"],
    "svipctl visualize attributes birds --attribute has_w\t": [
        *("visualize", "attributes", "birds", "--attribute", "has_wing::red"),
    ],
    "svipctl visualize patches birds --class \t": ["visualize", "patches", "birds", "--class", "wren"],
}
OF_BASH = {
    "svipctl train cub --recipe=pa\t": ["train", "cub", "--recipe=paper"],
    "svipctl visualize attributes birds --attribute has_wing::r\t": [
        *("visualize", "attributes", "birds", "--attribute", "has_wing::red"),
    ],
    "svipctl train cub --set train.fold=1 --set data.resize=sh\t": [
        *("train", "cub", "--set", "train.fold=1", "--set", "data.resize=shorter-side"),
    ],
}
HOSTILE = (
    "x=$(touch PWNED)",
    "`touch PWNED`",
    "\\$(touch PWNED)",
    "a;touch PWNED",
    "w*g",
    "'; touch PWNED; '",
    'q"$(touch PWNED)',
)
"""Names with an effect in a shell that does not quote them."""


class Shell:
    """A shell on a pseudo-terminal."""

    def __init__(self, name: str, cwd: Path, programs: Path) -> None:
        self.name, self.home = name, str(cwd)
        command, setup = START[name]
        environment = clean_environment(PATH=f"{programs}:{os.environ['PATH']}", HOME=str(cwd), TERM="dumb", PS1="$ ")
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, environment)
        self.seen = ""
        self.type(f"{setup}; printf 'REA''DY\\n'\n")
        self.until(r"READY\r?\n")

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def until(self, pattern: str) -> str:
        """Wait for a pattern in the output, and return the match."""
        while not (match := re.search(pattern, self.seen, re.DOTALL)):
            ready, _, _ = select.select([self.terminal], [], [], 20)
            assert ready, f"the shell said only: {self.seen!r}"
            self.seen += os.read(self.terminal, 65536).decode(errors="replace")
        self.seen = self.seen[match.end() :]
        return match.group(0)

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.fixture(scope="module", params=list(START))
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    for run in ("runs/cub/only-one", "runs/sun/other", "old/cub/early"):
        (folder / run).mkdir(parents=True)
        (folder / run / "config.toml").write_text("")
    (folder / "runs/cub/only-one/finished.json").write_text("{}")  # a run of an earlier version has no such file
    (folder / "new").mkdir()  # before the first training
    (folder / "mine.toml").write_text("")
    (folder / "my data.toml").write_text("")
    (folder / "my birds").mkdir()
    (folder / "birds").mkdir()
    with (folder / "birds" / "attributes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["class", "has_wing::red", *HOSTILE], ["wren", 1, *HOSTILE], *([name, 1] for name in HOSTILE)]
        )
    for name in HOSTILE:
        (folder / "hostile/cub" / name).mkdir(parents=True)
        (folder / "hostile/cub" / name / "config.toml").write_text("")
    (folder / "hostile/cub/harmless").mkdir()
    (folder / "hostile/cub/harmless/config.toml").write_text("")
    (folder / "wing").write_text("")  # what the attribute w*g would become as a pattern
    found = Shell(request.param, folder, install_in(tmp_path_factory.mktemp("bin") / "bin"))
    yield found
    found.close()


def completed(shell: Shell, line: str) -> list[str]:
    """Return the words that the program gets when a line is typed and completed with TAB."""
    shell.type(line)
    shell.type("\n")
    given = shell.until(r"GIVEN( \[[^\r\n]*\])? END")
    return re.findall(r"\[([^\]]*)\]", given)


@pytest.mark.parametrize("line", CASES, ids=[line.strip() for line in CASES])
def test_tab_completes_the_line(shell: Shell, line: str) -> None:
    words = completed(shell, line)
    assert [word.rstrip("/") for word in words] == CASES[line]  # zsh removes the slash


@pytest.mark.parametrize("line", OF_BASH, ids=[line.strip() for line in OF_BASH])
def test_bash_completes_after_its_word_breaks(shell: Shell, line: str) -> None:
    if shell.name != "bash":
        pytest.skip("only bash breaks words there")
    assert completed(shell, line) == OF_BASH[line]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("svipctl eval cub --runs-dir hostile --run ", "harmless"),
        ("svipctl visualize patches birds --class ", "wren"),
        ("svipctl visualize attributes birds --attribute ", "has_wing::red"),
    ],
)
def test_a_name_from_data_is_never_run_by_the_shell(shell: Shell, line: str, word: str) -> None:
    assert completed(shell, f"{line}\t\t")[-1] == word
    assert completed(shell, "svipctl visualize patches birds --class x\t")[:3] == ["visualize", "patches", "birds"]
    assert not list(Path(shell.home).rglob("PWNED"))


def test_all_keys_with_the_same_beginning_are_listed(shell: Shell) -> None:
    line = "svipctl train cub --set optim."
    shell.type(f'complete -C "{line}"\n' if shell.name == "fish" else f"{line}\t\t")
    listed = shell.until(r"optim\.warmup_lr=?")
    shell.type("\x03")
    assert "optim.warmup_lr" in listed
