"""Faults of the machine for any code that uses the file system: a full disk, and a kill at a chosen moment.

They act where Python calls the operating system, independent of the tested code: on the names of new files, on the
calls that change the disk, and on the length of files.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from unittest.mock import patch

CHANGES = ("pwrite", "fsync", "rename", "replace", "unlink", "mkdir")
"""Functions of `os` that change the disk."""

Fault = Callable[[str, int, Callable[..., Any], tuple[Any, ...]], None]
"""Function that is called before each change with its name, its number from 1, the real function and its arguments."""

_NAMES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
"""Events that create a name, and the position of the new name in their arguments."""

_listeners: list[Callable[[Path], None]] = []
_hooked: list[bool] = []
_for_good = ExitStack()
"""Faults of a process that a test has started, which last as long as it does."""


def _no_space(path: object = None) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@contextmanager
def full_disk(folder: Path, *, after: int = 0, name: str = "*", number: int = errno.ENOSPC) -> Iterator[None]:
    """Fail to create files and names below a folder, after the given number that match a pattern.

    `number` is the error of the operating system, if it is not that of a full disk.
    """
    made = 0

    def fail(path: Path) -> None:
        nonlocal made
        if path.is_relative_to(folder) and fnmatch(path.name, name):
            made += 1
            if made > after:
                raise OSError(number, os.strerror(number), str(path))

    with _listening(fail):
        yield


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Fail to write files beyond the given number of bytes, in the middle of a write as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def disk_fault(fault: Fault, *names: str) -> Iterator[None]:
    """Call a fault before each change of the disk by this process."""
    calls = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            fault(name, calls, real, arguments)
            return real(*arguments, **options)

        return call

    with patch.multiple(os, **{name: counted(name, getattr(os, name)) for name in names or CHANGES}):
        yield


def killed_at(moment: int) -> Fault:
    """Return a fault that kills the process at a change: before it, after it, or in the middle of a write."""

    def fault(name: str, number: int, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if number != moment:
            return
        if name == "pwrite":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
        elif moment % 2:
            with suppress(OSError):
                real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return fault


def full_from(moment: int) -> Fault:
    """Return a fault that refuses this change and all later ones because the disk is full."""

    def fault(name: str, number: int, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if number >= moment:
            raise _no_space()

    return fault


def fill_disk(folder: str, after: int, name: str = "*") -> None:
    """In a started process: apply `full_disk` to a folder of the working directory, permanently."""
    _for_good.enter_context(full_disk(Path.cwd() / folder, after=after, name=name))


def refuse_changes(moment: int, *names: str) -> None:
    """In a started process: fail this change and all later ones as on a full disk, permanently."""
    _for_good.enter_context(disk_fault(full_from(moment), *names))


def limit_files(size: int) -> None:
    """In a started process: apply `largest_file` permanently."""
    _for_good.enter_context(largest_file(size))


def kill_at(number: int, folder: str) -> None:
    """Kill this process before it creates the `number`-th file or name below a folder of the working directory."""
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
        sys.addaudithook(_hear)  # audit hooks cannot be removed, only disabled
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
