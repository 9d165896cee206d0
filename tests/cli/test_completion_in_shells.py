"""Completion in real shells at a terminal: a line is typed, TAB is pressed, and the shell runs what then stands there."""

from __future__ import annotations

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

COMPLETIONS = ROOT / "completions"
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"source {COMPLETIONS}/svipctl.bash"),
    "zsh": (["zsh", "-f", "-i"], f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -D -u"),
    "fish": (["fish", "--no-config", "-i"], f"source {COMPLETIONS}/svipctl.fish"),
}
CASES = {
    "svipctl tr\t": ["train"],
    "svipctl train cu\t": ["train", "cub"],
    "svipctl eval cub --run \t": ["eval", "cub", "--run", "only-one"],
    "svipctl eval cub --runs-dir old --run \t": ["eval", "cub", "--runs-dir", "old", "--run", "early"],
    "svipctl eval cub --runs-dir new --run \t": ["eval", "cub", "--runs-dir", "new", "--run"],
    "svipctl train cub --backbone li\t": ["train", "cub", "--backbone", "lite"],
    "svipctl predict mi\t": ["predict", "mine.toml"],
    "svipctl train cub --set optim.warmup_l\t": ["train", "cub", "--set", "optim.warmup_lr="],
    "svipctl train cub --set optim.optimizer=adamw\t": ["train", "cub", "--set", "optim.optimizer=adamw"],
    "svipctl train cub --recipe=pa\t": ["train", "cub", "--recipe=paper"],
    "svipctl train cub --config min\t": ["train", "cub", "--config", "mine.toml"],
    "svipctl train my\t": ["train", "my birds/"],
    "svipctl visualize patches starred --class 're\t": ["visualize", "patches", "starred", "--class", "red wren"],
    'svipctl visualize patches starred --class "red w\t': ["visualize", "patches", "starred", "--class", "red wren"],
    "svipctl train ~/my\t": ["train", "HOME/my birds/"],
    "svipctl train cub --config=min\t": ["train", "cub", "--config=mine.toml"],
    "svipctl train cub --config ~/min\t": ["train", "cub", "--config", "HOME/mine.toml"],
    "svipctl train cub --config my\\ d\t": ["train", "cub", "--config", "my data.toml"],
    "svipctl visualize attributes starred --attribute w\t": [
        *("visualize", "attributes", "starred", "--attribute", "w*g"),
    ],
}


class Shell:
    """A shell on a terminal of its own."""

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
        """What matches in the output, as soon as it is there."""
        while not (match := re.search(pattern, self.seen, re.DOTALL)):
            ready, _, _ = select.select([self.terminal], [], [], 30)
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
    (folder / "new").mkdir()  # where nothing has been trained yet
    (folder / "mine.toml").write_text("")
    (folder / "my data.toml").write_text("")
    (folder / "my birds").mkdir()
    (folder / "starred").mkdir()
    (folder / "starred" / "attributes.csv").write_text("class,w*g\nred wren,1\n")
    (folder / "wing").write_text("")  # what the attribute would become as a pattern
    found = Shell(request.param, folder, install_in(tmp_path_factory.mktemp("bin") / "bin"))
    yield found
    found.close()


@pytest.mark.parametrize("line", CASES, ids=[line.strip() for line in CASES])
def test_tab_completes_the_line(shell: Shell, line: str) -> None:
    shell.type(line)
    shell.type("\n")
    given = shell.until(r"GIVEN( \[[^\r\n]*\])? END")
    assert re.findall(r"\[([^\]]*)\]", given) == [word.replace("HOME", shell.home) for word in CASES[line]]


def test_a_key_with_several_ends_is_listed(shell: Shell) -> None:
    line = "svipctl train cub --set optim."
    shell.type(f'complete -C "{line}"\n' if shell.name == "fish" else f"{line}\t\t")
    listed = shell.until(r"optim\.warmup_lr=?")
    shell.type("\x03")
    assert "optim.warmup_lr" in listed
