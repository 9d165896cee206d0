"""Ctrl-C where nothing listens for it is told as every other error is."""

from __future__ import annotations

import pytest

from tests.cli.test_schemas import follows
from tests.conftest import Command


def by_hand_while_settings_are_read() -> None:
    from svipctl.cli import configure

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    configure.resolved = stopped  # type: ignore[assignment]


@pytest.mark.parametrize("words", [("config", "show"), ("doctor",), ("data", "status"), ("predict", "a.png")])
def test_it_has_a_document_a_sentence_and_code_130(words: tuple[str, ...], command: Command) -> None:
    done = command(*words, "--json", first=by_hand_while_settings_are_read)
    assert done.code == 130
    assert follows("error", done.document)
    assert done.document["error"]["exit_code"] == 130
    assert done.stderr.startswith("error: stopped by Ctrl-C\n")


def test_without_json_it_has_the_sentence(command: Command) -> None:
    done = command("config", "show", first=by_hand_while_settings_are_read)
    assert (done.code, done.stdout) == (130, "")
    assert done.stderr.startswith("error: stopped by Ctrl-C\n  next: run the same command again")
    assert "Traceback" not in done.stderr
