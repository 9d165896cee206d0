"""Faults of the machine, for any code that uses the file system: a full disk, and a kill at a chosen moment.

They act through audit events and a limit of the operating system, so they know nothing of the code that is tested.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_NAMES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
"""Events that make a name, and the position of the new name in their arguments."""

_listeners: list[Callable[[Path], None]] = []
_hooked: list[bool] = []


@contextmanager
def full_disk(folder: Path, *, after: int = 0) -> Iterator[None]:
    """Fail to make files and names below a folder, once so many have been made."""
    made = 0

    def fail(path: Path) -> None:
        nonlocal made
        if path.is_relative_to(folder):
            made += 1
            if made > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with _listening(fail):
        yield


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Fail to write files beyond so many bytes, in the middle of a write as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def kill_at(number: int, folder: str) -> None:
    """Kill this process before it makes the `number`-th file or name below a folder of the working directory."""
    made, place = 0, Path.cwd() / folder

    def kill(path: Path) -> None:
        nonlocal made
        made += path.is_relative_to(place)
        if made == number:
            os.kill(os.getpid(), signal.SIGKILL)

    _listen(kill)


@contextmanager
def _listening(listener: Callable[[Path], None]) -> Iterator[None]:
    _listen(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _listen(listener: Callable[[Path], None]) -> None:
    if not _hooked:
        sys.addaudithook(_hear)  # cannot be removed, only have nothing to do
        _hooked.append(True)
    _listeners.append(listener)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if not _listeners:
        return
    new: object = None
    if event == "open":
        new = arguments[0] if isinstance(arguments[2], int) and arguments[2] & os.O_CREAT else None
    elif event in _NAMES:
        new = arguments[_NAMES[event]]
    if isinstance(new, str | bytes | os.PathLike):
        path = Path(os.fsdecode(new)).absolute()
        for listener in _listeners:
            listener(path)
