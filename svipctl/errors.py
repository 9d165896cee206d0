"""What can go wrong, as a user meets it: one exit code, one sentence on what, one on why, one on what to type next.

The library raises these; only `svipctl.cli` turns them into text and a process exit.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of every command. Scripts may rely on them."""

    DONE = 0
    CHECK_FAILED = 1
    USAGE = 2
    DATA = 3
    NETWORK = 4
    RESOURCES = 5
    INTERRUPTED = 75  # EX_TEMPFAIL: run the same command again, a training with --resume
    CTRL_C = 130


class SvipError(Exception):
    """Base of every error a user can cause or cure.

    Args:
        what: What is wrong, naming the file, key or value.
        why: The reason or the details; may have several lines.
        todo: What to type or change next.
        document: What a check found that says no; a script gets it beside the error.

    """

    exit_code = ExitCode.CHECK_FAILED

    def __init__(self, what: str, *, why: str = "", todo: str = "", document: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.todo = todo
        self.document = document or {}

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.todo) if part)


class CheckFailed(SvipError):
    """A verification ran and its answer is no."""


class PeerLost(SvipError):
    """Another process of a run on several GPUs ended; its own message says why."""


class ConfigError(SvipError):
    """The command line, a configuration file or the environment says something unusable."""

    exit_code = ExitCode.USAGE


class DataError(SvipError):
    """An input file is missing, damaged or contradicts another one."""

    exit_code = ExitCode.DATA


class NetworkError(SvipError):
    """A download was refused, cut or is forbidden by `--offline`."""

    exit_code = ExitCode.NETWORK


class ResourceError(SvipError):
    """Not enough disk or memory."""

    exit_code = ExitCode.RESOURCES


class Interrupted(SvipError):
    """The command was told to stop; a training that has begun has saved its state."""

    exit_code = ExitCode.INTERRUPTED


class InterruptedByHand(Interrupted):
    """The same on Ctrl-C."""

    exit_code = ExitCode.CTRL_C


def nearest(word: str, known: Iterable[str], *, count: int = 3) -> str:
    """A phrase naming the known words that a word begins or is close to, or all of them when few and none is."""
    known = sorted(set(known))
    begun = [name for name in known if word and name.startswith(word)]
    close = begun[:count] or difflib.get_close_matches(word, known, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "known: " + ", ".join(known) if len(known) <= 12 else f"there are {len(known)} known names"


def shortened(entries: Sequence[str], count: int, separator: str = ", ") -> str:
    """Return the first entries, joined, and how many more there are."""
    shown = separator.join(entries[:count])
    more = len(entries) - count
    return shown + f"{' ' if separator == ', ' else separator}and {more:,} more" if more > 0 else shown


def shortened_name(name: str, length: int = 26) -> str:
    """Return a name of at most `length` characters; the middle is left out, because names differ at both ends."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"


def raise_together(*checks: Callable[[], object]) -> None:
    """Run all checks, and raise the errors of those that fail as one, of the kind of the first."""
    found: list[SvipError] = []
    for check in checks:
        try:
            check()
        except SvipError as error:
            found.append(error)
    if found:
        first, *others = found
        more = [line for error in others for line in (error.what, error.why) if line]
        todo = "\n        ".join(dict.fromkeys(error.todo for error in found if error.todo))
        raise type(first)(first.what, why="\n".join([*filter(None, [first.why]), *more]), todo=todo) from first


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a disk takes no more."""


@contextmanager
def explained_disk_errors(writing: str) -> Iterator[None]:
    """Turn a full disk, a quota, a missing permission or a path that is none into our errors.

    `writing` names what was being written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ResourceError(
                f"no room left while writing {writing}",
                why=f"the system says: {error.strerror}",
                todo="free some space, or choose another place with --runs-dir or --data-dir",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ConfigError(
                f"not allowed to write {writing}",
                why=f"the system says: {error.strerror}",
                todo="choose another place with --runs-dir or --data-dir",
            ) from error
        if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG):
            raise ConfigError(
                f"{writing} cannot be written there",
                why=f"the system says: {error.strerror}",
                todo="name another place",
            ) from error
        raise
