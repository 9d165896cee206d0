"""A folder that somebody works in, and what becomes of the lock when he is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from svipctl.errors import ConfigError, DataError, SvipError
from svipctl.files import atomic_folder, atomic_write, atomic_write_text, file_lock, is_locked, open_regular


def test_a_second_one_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with file_lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(ConfigError, match="another process is using"), file_lock(tmp_path):
            pass
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    program = "import sys, pathlib\nfrom svipctl.files import file_lock\nwith file_lock(pathlib.Path(sys.argv[1])):\n print(1, flush=True)\n sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    assert is_locked(tmp_path)
    process.kill()
    process.communicate()
    assert not is_locked(tmp_path)


def test_a_folder_that_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "nothing")


def test_what_a_killed_writer_leaves_is_used_by_the_next(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    (tmp_path / ".file.txt.part").write_text("half of an old one, longer than the new one")
    atomic_write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]
    assert target.read_text() == "new"


def test_a_writer_that_fails_leaves_the_old_content_alone(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(target) as unfinished:
        unfinished.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]
    assert target.read_text() == "old"


def test_two_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    second = threading.Thread(target=atomic_write_text, args=(target, "second"))
    with atomic_write(target) as unfinished:
        second.start()
        unfinished.write_text("first")
        assert not target.exists()
    second.join()
    assert target.read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_writer_never_removes_the_file_of_the_next(tmp_path: Path) -> None:
    """The second one begins when the first has renamed its file, and the third waits meanwhile."""
    target, unfinished = tmp_path / "file.txt", tmp_path / ".file.txt.part"
    errors: list[Exception] = []

    def write(text: str) -> None:
        try:
            for number in range(200):
                atomic_write_text(target, f"{text} {number}")
        except OSError as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(name,)) for name in ("first", "second", "third")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    assert target.read_text().endswith(" 199")
    assert not unfinished.exists()


def test_a_folder_is_replaced_whole_or_kept(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with atomic_folder(folder) as unfinished:
        (unfinished / "a").write_text("first")
    with pytest.raises(FileNotFoundError), atomic_folder(folder) as unfinished:
        (unfinished / "missing").read_text()
    assert (folder / "a").read_text() == "first"
    with atomic_folder(folder) as unfinished:
        (unfinished / "b").write_text("third")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_regular_file_is_opened_and_a_larger_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    with open_regular(path, limit=5) as file:
        assert file.read() == b"12345"
    with pytest.raises(DataError, match="too large"):
        open_regular(path, limit=4)
    with pytest.raises(DataError, match="there is no list"):
        open_regular(tmp_path / "b", what="list")


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "socket", "too long", "null", "circle"])
def test_whatever_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = {"device": Path("/dev/zero"), "too long": tmp_path / ("x" * 300), "null": tmp_path / "a\0b"}.get(
        kind, tmp_path / "a"
    )
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "circle":
        path.symlink_to(path)
    with socket.socket(socket.AF_UNIX) as one:
        if kind == "socket":
            one.bind(str(path))
        with pytest.raises(SvipError) as caught:
            open_regular(path)
    assert caught.value.exit_code == (2 if kind == "too long" else 3)
