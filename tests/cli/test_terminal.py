"""Test what only a terminal shows: tables, the seen-unseen curve, and the progress of training."""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svipctl.cli._output import Sink, folded
from svipctl.cli._training_progress import Live
from svipctl.pace import Pace
from tests.cli.terminal import on_terminal
from tests.conftest import Command
from tests.reference.traces import FOLDER

PREDICTIONS = str((FOLDER / "evaluation" / "tiny.npz").resolve())
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)[;m]")
BRAILLE = re.compile("[\u2801-\u28ff]")
TERMS = {
    "loss": 2.5,
    "cross_entropy": 2.0,
    "patch": 0.5,
    "consistency": 2e-6,
    "decorrelation": 0.0,
    "contextualized_accuracy": 12.5,
}


class Terminal(io.TextIOWrapper):
    """Stream that reports to be a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.slow
def test_eval_draws_the_curve_with_its_protocols_on_request(tmp_path: Path) -> None:
    code, shown = on_terminal("eval", "--predictions", PREDICTIONS, "--curve", cwd=tmp_path, NO_COLOR="1")
    assert code == 0
    assert len(BRAILLE.findall(shown)) > 20
    assert "o gzsl  x gzsl-oracle" in shown
    assert "seen, S" in shown
    assert "─" in shown
    assert not COLOUR.search(shown)


def test_a_file_contains_the_table_only(command: Command) -> None:
    done = command("eval", "--predictions", PREDICTIONS)
    assert done.code == 0
    assert not BRAILLE.search(done.stdout)
    assert done.stdout.splitlines()[-2].split()[0] == "ausuc"


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_ascii_lines(tmp_path: Path) -> None:
    code, shown = on_terminal("eval", "--predictions", PREDICTIONS, "--curve", cwd=tmp_path, TERM="dumb")
    assert code == 0
    assert "\x1b" not in shown
    assert shown.replace("±", "").isascii()
    assert "***" in shown


def test_braille_is_used_only_on_a_terminal_that_can_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal(io.BytesIO(), encoding="utf-8"))
    monkeypatch.setenv("TERM", "xterm")
    assert Sink().has_braille
    monkeypatch.setenv("TERM", "linux")
    assert not Sink().has_braille
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", Terminal(io.BytesIO(), encoding="ascii"))
    assert not Sink().has_braille


def shown_lines(code: int, shown: str, columns: int, lines: int) -> list[str]:
    """Return the lines of a command that succeeded, which all fit on a screen."""
    assert code == 0, shown
    found = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown).replace("\r", "").splitlines()
    assert max(map(len, found)) <= columns
    assert len(found) < lines
    return found


@pytest.mark.slow
def test_the_numbers_of_an_evaluation_fit_on_a_small_screen(tmp_path: Path) -> None:
    done = on_terminal("eval", "--predictions", PREDICTIONS, cwd=tmp_path, columns=80, NO_COLOR="1")
    found = shown_lines(*done, 80, 24)
    assert not BRAILLE.search("".join(found))
    assert next(line for line in found if "protocol" in line).split()[-1] == "gamma"


@pytest.mark.slow
def test_a_prediction_fits_on_one_line_and_the_bar_is_removed(
    trained_copy: Path, shared_folder: Path, tmp_path: Path
) -> None:
    pictures = [str(path) for path in sorted((shared_folder / "images").rglob("0.png"))]
    flags = ("--run", "first", "--gamma", "0.1", "--gpu", "cpu")
    found = shown_lines(*on_terminal("predict", *pictures, *flags, cwd=tmp_path, columns=80), 80, 24)
    assert found[0] == "gamma 0.1000 (given)"
    assert len(found) == 1 + len(pictures)
    assert all(re.search(r"  (un)?seen_\w +-?\d\.\d{3}", line) for line in found[1:])


def test_long_lines_break_between_words_and_commands_are_not_broken() -> None:
    terminal = Terminal(io.BytesIO(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("COLUMNS", "30")
        text = "  a long line of several words_that_are_long\n  next: svipctl train toybirds --recipe paper"
        assert folded(text, terminal).splitlines() == [
            "  a long line of several",
            "    words_that_are_long",
            "  next: svipctl train toybirds --recipe paper",
        ]
        assert folded(text, io.StringIO()) == text
        advice = "  next: save the file as plain text in UTF-8"
        assert folded(advice, terminal).splitlines() == ["  next: save the file as plain", "    text in UTF-8"]


def test_brackets_in_a_name_are_shown_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    terminal = Terminal(file, encoding="utf-8")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    Sink().table("[bold]title", ["name", "value"], [["[red]wren[/red]", "1.0"]])
    terminal.flush()
    shown = file.getvalue().decode()
    assert "[bold]title" in shown
    assert "[red]wren[/red]" in shown


def shown_table(monkeypatch: pytest.MonkeyPatch, columns: int, heads: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table on a terminal of the given width."""
    file = io.BytesIO()
    terminal = Terminal(file, encoding="utf-8")
    monkeypatch.setattr("sys.stdout", terminal)
    for name, value in {"TERM": "linux", "COLUMNS": str(columns)}.items():
        monkeypatch.setenv(name, value)
    Sink().table("title", heads, rows)
    terminal.flush()
    return re.sub(r"\x1b\[[\d;]*m", "", file.getvalue().decode()).splitlines()


@given(
    columns=st.integers(1, 140),
    rows=st.lists(
        st.tuples(
            st.text("abcxyz_ ", min_size=1, max_size=60),
            st.from_regex(r"-?[0-9]{1,9}\.[0-9]{1,4}", fullmatch=True),
            st.text("abc:,_ ", max_size=60).map("p".__add__),
        ).map(list),
        min_size=1,
        max_size=4,
    ),
)
@example(columns=1, rows=[["_", "0.0", "p"], ["_____ __", "0.0", "p::::::::::"]])
@settings(max_examples=60)
def test_a_table_loses_no_letter_on_a_narrow_terminal(columns: int, rows: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        lines = shown_table(monkeypatch, columns, ["class", "score", "description"], rows)
    letters = Counter("".join(lines).replace(" ", ""))
    assert not Counter("".join(cell for row in rows for cell in row).replace(" ", "")) - letters
    assert all(any(row[1] in line for line in lines) for row in rows), "a figure is not broken"


def test_a_table_that_fits_is_at_most_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["a_class_with_a_name_that_is_long", "95.8 ±6.2", "why it is what it is, in many words"]]
    for columns in (80, 50, 40):
        assert max(map(len, shown_table(monkeypatch, columns, ["class", "T1", "what"], rows))) <= columns


def test_names_of_runs_are_whole_where_other_columns_can_be_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "hybrid-seed0-calibrated-fold1"
    row = [name, "data.batch_size=16, optim.learning_rate=0.00030000001", "8/8", "52.4", "43.2", "finished"]
    lines = shown_table(monkeypatch, 80, ["run", "different", "epochs", "T1", "H", "state"], [row])
    assert max(map(len, lines)) <= 80
    assert any(name in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_bar_on_the_terminal_does_not_change_the_file(
    trained_copy: Path, shared_folder: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    pictures = str(shared_folder / "images")
    code, shown = on_terminal("predict", pictures, *flags, cwd=tmp_path, stdout=tmp_path / "bar")
    assert code == 0, shown
    assert "classifying" in shown
    code, shown = on_terminal("predict", pictures, *flags, cwd=tmp_path, stdout=tmp_path / "no bar", TERM="dumb")
    assert code == 0
    assert "\x1b" not in shown
    assert (tmp_path / "bar").read_bytes() == (tmp_path / "no bar").read_bytes() != b""


def test_training_on_a_terminal_shows_a_row_per_epoch_and_a_bar(
    shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    code, shown = on_terminal("train", str(shared_folder), *tiny, "--epochs", "2", cwd=tmp_path, NO_COLOR="1")
    assert code == 0, shown
    assert all(word in shown for word in ("train %", "images/s", "left", "epoch 2/2", "step 9/9"))
    assert re.findall(r"(\d)/2  +\d+\.\d{3}  ", shown) == ["1", "2"]
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is hidden for good"
    assert not COLOUR.search(shown)
    assert "done: runs/small/svipctl-seed0" in shown


def test_the_rate_is_over_the_last_steps_and_the_remaining_time_over_all() -> None:
    clock = Clock()
    pace = Pace(4, clock=clock)
    clock.now += 10
    pace.at(0.5)
    assert (pace.rate, pace.left) == (0.05, 70.0)
    clock.now += 5
    pace.at(1.0)
    assert (pace.rate, pace.left) == (0.1, 45.0)
    clock.now += 30  # an evaluation: it takes time from the run, and is not slow training
    pace.pause()
    clock.now += 5
    pace.at(1.5)
    assert pace.rate == pytest.approx(0.1)
    assert pace.left == pytest.approx(50 / 1.5 * 2.5)


def test_the_rate_of_a_resumed_run_does_not_count_earlier_steps() -> None:
    clock = Clock()
    pace = Pace(10, resumed=True, clock=clock)
    clock.now += 1
    pace.at(5.5)
    assert (pace.rate, pace.left) == (None, None)
    clock.now += 20
    pace.at(6.0)
    assert pace.left == pytest.approx(160)


def test_the_bar_fits_a_narrow_terminal_and_omits_terms_that_are_zero() -> None:
    from rich.console import Console

    clock = Clock()
    live = Live(3, 90, clock=clock)
    clock.now += 3
    live.step(1, 10, 30, TERMS)
    for width in (140, 100, 80):
        console = Console(width=width)
        with console.capture() as captured:
            console.print(live)
        (line,) = captured.get().splitlines()
        assert len(line) <= width
        assert "decorrelation" not in line
        assert all(text in line for text in ("epoch 1/3", "step 10/30", "loss 2.500", "10 images/s", "24 s left"))
        assert ("2e-06" in line) == (width == 140)


def test_rows_of_epochs_are_aligned_below_one_header_and_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    live = Live(10, 90, clock=clock)
    record = {
        "loss": 12.5,
        "patch": 0.5,
        "contextualized_accuracy": 100.0,
        "images_per_second": 1234.5,
        "monitor": "fold-1",
    }
    record |= {"T1": 100.0, "U": 1.0, "S": 99.5, "H_oracle": 2.0}
    for epoch in (1, 9, 10):
        clock.now += 3600
        live.epoch(record | {"epoch": epoch})
    header, *rows = capsys.readouterr().err.splitlines()
    assert header.split() == ["epoch", "loss", "patch", "train", "fold-1", "T1", "U", "S", "H*", "img/s", "left"]
    assert [row.split()[0] for row in rows] == ["1/10", "9/10", "10/10"]
    assert {len(line) for line in (header, *rows)} == {len(header)}
    assert len(header) <= 80
    assert rows[0].endswith(" 9 h 0 min")
    assert all(row[: header.index(" H*") + 3].endswith(" 2.0") for row in rows)
