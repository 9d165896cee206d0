"""Whether a process is at work in a folder: a lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from svipctl.errors import ConfigError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only one at work in a folder that is there.

    Raises:
        ConfigError: Another process is.

    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(descriptor, patience=0.5):  # one that only asks, below, is gone at once
            raise ConfigError(f"another process is at work in {folder}", todo="wait for it, or stop it")
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a process is at work in a folder; not in one that is not there."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, patience: float = 0.0) -> bool:
    """Whether the lock was to be had within so many seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
