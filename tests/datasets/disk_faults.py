"""Faults of a disk: what happens at the n-th call that changes it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

CHANGES = ("pwrite", "fsync", "rename", "replace", "unlink", "mkdir")

Fault = Callable[[str, int, Callable[..., Any], tuple[Any, ...]], None]
"""Called before each change with its name, its number from 1 on, the real function and its arguments."""


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
    """Kill the process at a change: before it, after it, or in the middle of a write."""

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
    """Refuse this change and all later ones because the disk is full."""

    def fault(name: str, number: int, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if number >= moment:
            raise OSError(errno.ENOSPC, "No space left on device")

    return fault
