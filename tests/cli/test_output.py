"""Test output: data on stdout, everything else on stderr, no control codes without a terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from svipctl.cli._errors import report
from svipctl.cli._output import Sink, sink
from svipctl.cli._progress import ProgressLines
from svipctl.cli._training_progress import Lines
from svipctl.errors import DataError, ExitCode
from svipctl.pace import duration
from svipctl.runs.records import epoch_line
from tests.conftest import Command
from tests.reference.traces import FOLDER

PREDICTIONS = str((FOLDER / "evaluation" / "tiny.npz").resolve())
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
RECORD = {"epoch": 2, "loss": 1.25, "patch": 0.5, "accuracy": 43.21, "images_per_second": 99.6}


def test_without_a_terminal_training_prints_one_plain_line_per_epoch(
    command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *tiny, "--epochs", "2", "--name", "lines")
    assert done.code == 0, done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)
    assert [line.split()[1] for line in done.stderr.splitlines() if line.startswith("epoch")] == ["1/2", "2/2"]
    assert done.stdout.splitlines()[1].startswith(f"next: svipctl eval {shared_folder} --run lines")


def test_without_a_terminal_a_long_epoch_prints_a_line_per_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines(2, clock=lambda: now[0])
    for step in range(1, 14):  # of 10 seconds each
        now[0] = 10.0 * step
        lines.step(1, step, 13, {"loss": 1.5})
    lines.epoch(RECORD | {"epoch": 1})
    now[0] += 50.0
    lines.step(2, 5, 13, {"loss": 1.25})
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "epoch 1/2  step 6/13  loss 1.500  3 min left"
    assert told[1].startswith("epoch 1/2  step 12/13  loss 1.500")
    assert told[2].startswith("epoch 1/2  loss 1.250")
    assert len(told) == 3


def test_without_a_terminal_every_long_step_prints_a_line_per_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = ProgressLines("computing", Sink().note, clock=lambda: now[0])
    for done in range(1, 9):  # of 25 seconds each
        now[0] = 25.0 * done
        lines.move(done * 1000, 8000)
    lines.end()
    assert capsys.readouterr().err.splitlines() == [
        "computing: 3,000 of 8,000  2 min left",
        "computing: 6,000 of 8,000  50 s left",
        "computing: 8000 done",
    ]


def test_quiet_and_json_print_one_document_and_nothing_on_stderr(
    command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    done = command("train", str(shared_folder), *tiny, "--quiet", "--json")
    assert (done.code, done.stderr) == (0, "")
    assert done.document["run"] == "runs/small/svipctl-seed0"
    assert done.document["best"]["epoch"] == 1


def test_without_a_terminal_a_table_is_aligned_plain_text(command: Command) -> None:
    done = command("eval", "--predictions", PREDICTIONS)
    assert done.code == 0
    assert not CONTROL.search(done.stdout)
    lines = done.stdout.splitlines()
    rows = ["protocol", "zsl", "gzsl", "gzsl-oracle", "reference", "ausuc"]
    assert [line.split()[0] for line in lines[1:-1]] == rows
    assert lines[-1].startswith("H from accuracies over images instead of classes: gzsl ")


def test_quiet_prints_only_machine_readable_output(command: Command) -> None:
    plain = command("eval", "--predictions", PREDICTIONS, "--quiet")
    assert (plain.code, plain.stdout, plain.stderr) == (0, "", "")
    assert command("eval", "--predictions", PREDICTIONS, "--csv", "--quiet").stdout.startswith("protocol,")
    assert command("eval", "--predictions", PREDICTIONS, "--json", "--quiet").document["images"]
    assert command("completion", "fish", "--quiet").stdout


def test_json_silences_text_and_text_silences_json(capsys: pytest.CaptureFixture[str]) -> None:
    mine = Sink()
    mine.say("text")
    mine.document({"a": 1})
    assert capsys.readouterr().out == "text\n"
    mine.json = True
    mine.say("text")
    mine.table("title", ["a"], [["b"]])
    mine.document({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_quiet_silences_notes_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    mine = Sink()
    mine.warn("careful")
    assert capsys.readouterr().err == "warning: careful\n"
    mine.quiet = True
    mine.warn("careful")
    with mine.progress("working") as progress:
        progress(1, 2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    Sink().table("Title", ["name", "T1"], [["a", "12.5"], ["longer", "3"]])
    assert capsys.readouterr().out == "Title\n  name      T1\n  a       12.5\n  longer     3\n"


def test_an_error_states_what_happened_why_and_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "json", False)
    assert report(DataError("lost", why="one\ntwo", todo="look")) is ExitCode.DATA
    assert capsys.readouterr().err == "error: lost\n  one\n  two\n  next: look\n"


def test_nothing_is_animated_when_stderr_is_not_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not Sink().is_live
    monkeypatch.setattr("sys.stderr", Terminal())
    assert Sink().is_live
    monkeypatch.setenv("TERM", "dumb")
    assert not Sink().is_live


def test_the_line_of_an_epoch_has_its_figures_and_those_of_the_monitored_split() -> None:
    assert epoch_line(RECORD, 9) == "epoch 2/9  loss 1.250  patch loss 0.500  train 43.2 %  100 images/s"
    monitored = RECORD | {"monitor": "test", "T1": 10.0, "U": 20.0, "S": 30.0, "H": 24.0, "H_oracle": 40.0}
    assert "test: T1 10.0 U 20.0 S 30.0 H 24.0 (oracle 40.0)" in epoch_line(monitored, 9)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (7800, "2 h 10 min")]
)
def test_durations_are_rounded_to_seconds_minutes_or_hours(seconds: float, text: str) -> None:
    assert duration(seconds) == text
