"""Test that Ctrl-C, SIGTERM and SIGUSR1 outside of a training are reported like every other error."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_schemas import follows
from tests.conftest import Command

pytestmark = pytest.mark.slow


def by_hand_while_settings_are_read() -> None:
    from svipctl.settings import layers

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    layers.resolve = layers.resolve_workspace = stopped  # type: ignore[assignment]


@pytest.mark.parametrize("words", [("config", "show"), ("doctor",), ("data", "status"), ("predict", "a.png")])
def test_ctrl_c_has_a_document_a_sentence_and_code_130(words: tuple[str, ...], command: Command) -> None:
    done = command(*words, "--json", first=by_hand_while_settings_are_read)
    assert done.code == 130
    assert follows("error", done.document)
    assert done.document["error"]["exit_code"] == 130
    assert done.stderr.startswith("error: stopped by Ctrl-C\n")


def test_without_json_ctrl_c_has_the_sentence(command: Command) -> None:
    done = command("config", "show", first=by_hand_while_settings_are_read)
    assert (done.code, done.stdout) == (130, "")
    assert done.stderr.startswith("error: stopped by Ctrl-C\n  next: run the same command again")
    assert "Traceback" not in done.stderr


def sigterm_while_settings_are_read() -> None:
    from svipctl.settings import layers

    layers.resolve = layers.resolve_workspace = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[assignment,return-value]


def sigterm_while_the_command_line_is_read() -> None:
    from typer.core import TyperGroup

    TyperGroup.make_context = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[method-assign,assignment,return-value]


def sigterm_while_the_program_is_imported() -> None:
    from svipctl.cli import _main

    _main._run = lambda *_: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[assignment,return-value]


@pytest.mark.parametrize(
    "first",
    [
        sigterm_while_settings_are_read,
        sigterm_while_the_command_line_is_read,
        sigterm_while_the_program_is_imported,
    ],
)
@pytest.mark.parametrize("words", [("train", "toybirds"), ("eval", "toybirds"), ("data", "status")])
def test_sigterm_has_a_document_a_sentence_and_code_75(
    words: tuple[str, ...], first: Callable[[], None], command: Command
) -> None:
    done = command(*words, "--json", first=first)
    assert done.code == 75
    assert follows("error", done.document)
    assert done.document["error"]["exit_code"] == 75
    assert done.stderr.startswith("error: stopped by SIGTERM\n")


def sigusr1_while_images_are_drawn() -> None:
    from svipctl.training import session

    session.open_data = lambda *_, **__: os.kill(os.getpid(), signal.SIGUSR1)  # type: ignore[assignment,return-value]


def test_a_training_that_is_preempted_before_its_first_step_leaves_no_run_folder(
    command: Command, tmp_path: Path
) -> None:
    done = command("train", "toybirds", first=sigusr1_while_images_are_drawn)
    assert (done.code, done.stdout) == (75, "")
    assert done.stderr.splitlines()[-2:] == [
        "error: stopped by SIGUSR1",
        "  next: run the same command again (train: add --resume)",
    ]
    assert not (tmp_path / "runs").exists()
