"""Stop every long command by every signal at ten moments: documented exit codes, and never a traceback."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from svipctl.errors import ExitCode
from svipctl.signals import SIGNALS
from tests.conftest import ATTRIBUTES, Command
from tests.moments import Moments
from tests.processes import Finished

MOMENTS = 10
BACKBONE = ("--backbone", "vit_tiny_patch16_224", "--weights", "none", "--gpu", "cpu")
RIDGE = ("--set", "model.backbone_args={img_size=32,depth=1,patch_size=8}")
RUN = ("--run", "first", "--gpu", "cpu")
COMMANDS = {
    "train": ("train", "small", "TINY", "--name", "new"),
    "train with workers": ("train", "small", "TINY", "--name", "new", "--set", "data.workers=2"),
    "train of two processes": ("train", "small", "TINY", "--name", "new", "--gpu", "cpu,cpu"),
    "train on toybirds": ("train", "toybirds", "TINY", "--name", "new"),
    "eval": ("eval", "small", *RUN),
    "baseline": ("baseline", "small", *BACKBONE, *RIDGE),
    "predict": ("predict", "small/images", *RUN, "--json"),
    "export onnx": ("export", "small", "--run", "first", "-o", "model.onnx"),
    "export torch": ("export", "small", "--run", "first", "-o", "model.pt2"),
    "visualize report": ("visualize", "report", "small", *RUN),
    "visualize patches": ("visualize", "patches", "small", *RUN),
    "data pack": ("data", "pack", "small", "--backbone", "vit_tiny_patch16_224", "--workers", "2"),
    "w2v build": ("w2v", "build", "small", "--vectors", "vectors.txt", "-o", "vectors.npz"),
    "w2v build toybirds": ("w2v", "build", "toybirds", "-o", "vectors.npz"),
    "reproduce": ("reproduce", "small", "TINY", "--controls", "none", "--seeds", "1", "--folds", "1", "--no-baselines"),
}
LEFTOVERS = (".*.part", ".*.new", ".*.unchecked*")
"""Files that an interrupted command would leave for the next one to remove; a signal leaves none."""


@dataclass(frozen=True)
class Stopped:
    """In the process of the command: draw few toy birds, and send a signal at a moment; 0 is none."""

    moments: Moments
    moment: int = 0
    number: signal.Signals = signal.SIGTERM

    def __call__(self) -> None:
        from svipctl.datasets.toybirds.generate import ToybirdsPlan

        ToybirdsPlan.__init__.__defaults__ = (0, 64, 2, 1, 1)  # type: ignore[misc]
        self.moments.signalled(self.moment, self.number)


class Table:
    """Runs a command repeatedly, each time from the same folder."""

    def __init__(self, name: str, tiny: tuple[str, ...], command: Command, source: Path, folder: Path) -> None:
        self.command, self.source, self.folder = command, source, folder
        self.words = [word for one in COMMANDS[name] for word in (tiny if one == "TINY" else (one,))]
        if name == "reproduce":
            self.words[self.words.index("--recipe")] = "--recipes"
        self.moments = Moments(folder / ".moments")

    def run(self, moment: int = 0, number: signal.Signals = signal.SIGTERM) -> Finished:
        for path in self.folder.iterdir():
            if path.name in (".streams", ".moments"):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.source, self.folder, dirs_exist_ok=True)
        done: Finished = self.command(*self.words, first=Stopped(self.moments, moment, number))
        return done

    def check(self, moment: int, number: signal.Signals) -> None:
        done = self.run(moment, number)
        asked = ExitCode.CTRL_C if number is signal.SIGINT else ExitCode.INTERRUPTED
        at = f"{number.name} at moment {moment}: code {done.code}\n{done.stderr}"
        assert done.code in (asked, ExitCode.DONE), at
        assert "Traceback" not in done.stderr, at
        assert "Exception ignored" not in done.stderr, at
        # A launcher may be stopped when its processes have finished and printed that.
        assert done.code == ExitCode.DONE or "error: stopped by " in done.stderr or "done: " in done.stdout, at
        left = [str(path) for pattern in LEFTOVERS for path in self.folder.rglob(pattern)]
        assert left == [], at


@pytest.fixture
def table(
    request: pytest.FixtureRequest,
    tiny: tuple[str, ...],
    command: Command,
    shared_folder: Path,
    trained: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> Table:
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(shared_folder, source / "small")
    shutil.copytree(trained, source / "runs" / "small" / "first")
    words = sorted({word for name in ATTRIBUTES for word in name.replace("::", "_").split("_")})
    (source / "vectors.txt").write_text("\n".join([f"{len(words)} 2", *(f"{word} 1 2" for word in words)]) + "\n")
    return Table(request.param, tiny, command, source, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("table", COMMANDS, indirect=True)
def test_every_command_stopped_at_ten_moments_has_a_documented_code_and_no_traceback(table: Table) -> None:
    """Send one of the signals at each moment, in turn; with SVIPCTL_SIGNAL_TABLE=1 all of them, which takes an hour."""
    whole = table.run()
    assert whole.code == ExitCode.DONE, whole.stderr
    last = table.moments.count
    for place in range(MOMENTS):
        numbers = SIGNALS if "SVIPCTL_SIGNAL_TABLE" in os.environ else [SIGNALS[place % len(SIGNALS)]]
        for number in numbers:
            table.check(1 + place * (last - 1) // (MOMENTS - 1), number)


@pytest.mark.parametrize(
    ("table", "number"), [("w2v build", signal.SIGHUP), ("predict", signal.SIGUSR1), ("train", signal.SIGTERM)],
    indirect=["table"],
)  # fmt: skip
def test_a_signal_in_the_middle_has_its_code_and_no_traceback(table: Table, number: signal.Signals) -> None:
    assert table.run().code == ExitCode.DONE
    table.check(table.moments.count // 2, number)
    table.check(table.moments.count, number)
