"""--dry-run says no to what the command itself would say no to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train DATA --set model.window=3", "windows of side 3 do not tile"),
        ("train DATA --gpu 7", "no GPU 7"),
        ("train cub", "attributes.txt is missing"),
        ("baseline DATA --fold 4", "has no fold 4"),
        ("baseline cub", "attributes.txt is missing"),
        ("baseline DATA --weights gone.pth", "there is no weights file gone.pth"),
        ("visualize embedding DATA --class nope", "no class 'nope'"),
        ("visualize patches DATA --gpu 7", "no GPU 7"),
        ("visualize curves DATA --gpu 7", "no GPU 7"),
        ("reproduce DATA --gpu 7", "no GPU 7"),
        ("data pack DATA --verify", "leave out --dry-run"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(
    words: str, said: str, shared_folder: Path, trained_copy: Path, tiny: tuple[str, ...], command: Command
) -> None:
    training = tiny if words.startswith("train DATA") else ()
    command_name, *rest = words.replace("DATA", str(shared_folder)).split()
    done = command(command_name, *training, *rest, "--dry-run")
    assert done.code in (2, 3)
    assert said in done.stderr
    assert done.stdout == ""
