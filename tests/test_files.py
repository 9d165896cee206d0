"""Test locked folders, atomic writes, and the lock of a killed process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from svipctl import files
from svipctl.errors import ConfigError, DataError, SvipError
from svipctl.files import (
    atomic_folder,
    atomic_write,
    atomic_write_text,
    check_output,
    file_lock,
    file_sha256,
    is_locked,
    open_regular,
    read_regular,
)
from svipctl.signals import Signalled


def test_a_second_lock_is_refused_while_the_first_is_held(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with file_lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(ConfigError, match="another process is using"), file_lock(tmp_path):
            pass
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
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


def test_a_missing_folder_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "nothing")


def test_the_remains_of_a_killed_writer_are_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    (tmp_path / ".file.txt.part").write_text("half of an old one, longer than the new one")
    atomic_write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]
    assert target.read_text() == "new"


def test_a_failed_write_leaves_the_old_content_unchanged(tmp_path: Path) -> None:
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
    """The second one starts when the first has renamed its file, while the third waits."""
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


def write_a_folder(path: Path) -> None:
    with atomic_folder(path) as unfinished:
        (unfinished / "file.txt").write_text("new")


@pytest.mark.parametrize("write", [lambda path: atomic_write_text(path, "new"), write_a_folder], ids=["file", "folder"])
def test_a_signal_at_any_call_leaves_nothing_unfinished(write: Callable[[Path], None], tmp_path: Path) -> None:
    """Python runs the handlers of signals around calls; raise there, one call after the other."""
    passed = 0

    def raise_at(moment: int) -> Callable[[FrameType, str, object], None]:
        def hear(frame: FrameType, event: str, argument: object) -> None:
            nonlocal passed
            if event != "return" and frame.f_code.co_filename == files.__file__:
                passed += 1
                if passed == moment:
                    raise Signalled(signal.SIGTERM)

        return hear

    for moment in range(1, 1000):
        passed = 0
        sys.setprofile(raise_at(moment))
        try:
            write(tmp_path / "new")
            assert moment > passed > 10
            break
        except Signalled:
            assert {path.name for path in tmp_path.iterdir()} <= {"new", ".new.old"}, f"at call {moment}"
        finally:
            sys.setprofile(None)
    assert (tmp_path / "new").exists()


def test_a_pipe_in_place_of_the_unfinished_file_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".new.part")
    with pytest.raises(OSError, match="Illegal seek|not seekable"):
        atomic_write_text(tmp_path / "new", "text")


def test_a_folder_is_replaced_completely_or_kept(tmp_path: Path) -> None:
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


def test_a_regular_file_is_opened_unless_it_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    with open_regular(path, limit=5) as file:
        assert file.read() == b"12345"
    with pytest.raises(DataError, match="too large"):
        open_regular(path, limit=4)
    with pytest.raises(DataError, match="there is no list"):
        open_regular(tmp_path / "b", what="list")


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "socket", "too long", "null", "circle"])
def test_a_path_that_is_not_a_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
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


def test_an_output_is_checked_before_any_work(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "file.npz")
    (tmp_path / "file.npz").write_bytes(b"earlier")
    check_output(tmp_path / "file.npz")
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "link.npz").symlink_to("/dev/null")
    for name in ("fifo.npz", "link.npz"):
        with pytest.raises(ConfigError, match="not a regular file"):
            check_output(tmp_path / name)
    with pytest.raises(ConfigError, match="not a writable folder"):
        check_output(tmp_path / "file.npz" / "inside.npz")


def test_an_error_while_reading_names_the_file(tmp_path: Path) -> None:
    unreadable = Path("/proc/self/mem")  # a regular file whose first byte gives an error
    if not unreadable.exists():
        pytest.skip("there is no /proc")
    (tmp_path / "file").symlink_to(unreadable)
    for read in (read_regular, file_sha256):
        with pytest.raises(DataError, match="file cannot be read"):
            read(tmp_path / "file")
