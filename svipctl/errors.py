"""Define the errors that a user can meet: an exit code, and one line each on what happened, why, and what to do.

The library raises these; only `svipctl.cli` prints them and exits.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps
from operator import index
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from pydantic import ValidationError

P = ParamSpec("P")
T = TypeVar("T")


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
    """Base class of every error that a user can cause or fix.

    Args:
        what: What happened, with the file, key or value.
        why: The reason or the details; may have several lines.
        todo: What to do: a command to type, or a change.
        document: Findings of a failed check; `--json` prints them next to the error.

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
    """A check ran and failed."""


class PeerLost(SvipError):
    """Another process of a run on several GPUs ended; its own message gives the reason."""


class ConfigError(SvipError):
    """The command line, a configuration file or the environment has a value that cannot be used."""

    exit_code = ExitCode.USAGE


class DataError(SvipError):
    """An input file is missing, damaged or contradicts another one."""

    exit_code = ExitCode.DATA


class ReadError(DataError):
    """The operating system refuses or fails to read a file, which may be intact."""


class NetworkError(SvipError):
    """A download failed, or is forbidden by `--offline`."""

    exit_code = ExitCode.NETWORK


class ResourceError(SvipError):
    """Not enough disk or memory."""

    exit_code = ExitCode.RESOURCES


class Interrupted(SvipError):
    """The command was stopped by a signal; a training that has started has saved its state."""

    exit_code = ExitCode.INTERRUPTED


class InterruptedByHand(Interrupted):
    """The command was stopped by Ctrl-C; a training that has started has saved its state."""

    exit_code = ExitCode.CTRL_C


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a phrase with the known words that are similar to a word, or with all of them if they are few."""
    known = sorted(set(known))
    begun = [name for name in known if word and name.startswith(word)]
    close = begun[:3] or difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "known: " + ", ".join(known) if len(known) <= 12 else f"none of the {len(known)} known names is similar"


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


def whole_number(name: str, value: int, least: int = 1, most: int = 2**31 - 1) -> int:
    """Return a whole number that was passed to a public function as `name`.

    Raises:
        ConfigError: It is not a whole number, or out of range.

    """
    try:
        number = least - 1 if isinstance(value, bool) else index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise ConfigError(f"{name} is {value!r}", why=f"it must be a whole number from {least:,} to {most:,}")
    return number


def raise_together(*checks: Callable[[], object]) -> None:
    """Run all checks, and raise the errors of those that fail as one, of the type of the first."""
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


def misfits(error: ValidationError) -> str:
    """Return the first fields of a document that do not validate, and why."""
    found = []
    for one in error.errors():
        place = ".".join(str(part) for part in one["loc"])
        message = "unknown field" if one["type"] == "unexpected_keyword_argument" else one["msg"]
        found.append(f"{place}: {message}" if place else message)
    return shortened(found, 3, "; ")


_ELSEWHERE = "choose another folder with --runs-dir or --data-dir"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the operating system for a disk that takes no more data."""
_SYSTEM: Mapping[int, tuple[type[SvipError] | None, str, str]] = {
    **dict.fromkeys(FULL, (ResourceError, "no space left while {doing} {name}", f"free some space, or {_ELSEWHERE}")),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        (None, "not allowed to {verb} {name}", "change the permissions, or " + _ELSEWHERE),
    ),
    errno.ENAMETOOLONG: (ConfigError, "{name} cannot be {done}: the name is too long", "choose a shorter name"),
    errno.ELOOP: (None, "{name} cannot be {done}: its links form a loop", "remove the link"),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        (
            ResourceError,
            "cannot {verb} {name}: too many files are open",
            "raise the limit (ulimit -n 4096), or use fewer workers",
        ),
    ),
    errno.ENOMEM: (ResourceError, "not enough memory to {verb} {name}", "free some memory"),
}
"""errno -> class of our error (None: DataError for reading, ConfigError for writing), its first line, and what to do.
"""
# Messages of the CPU's allocator; CUDA, its driver, Triton and NCCL (also CUDA_ERROR_OUT_OF_MEMORY); cuBLAS and cuDNN.
_SIGNS_OF_NO_MEMORY = ("can't allocate memory", "out of memory", "out_of_memory", "alloc_failed", "allocation_failed")
_FORMS = {"read": ("reading", "read"), "write": ("writing", "written")}


def system_error(error: OSError, name: object, verb: Literal["read", "write"] = "read") -> SvipError:
    """Return our error for an error of the operating system.

    Args:
        error: The error.
        name: The file or folder.
        verb: The operation that failed, for instance `read`.

    """
    doing, done = _FORMS[verb]
    for_reading = DataError if isinstance(error, FileNotFoundError | NotADirectoryError) else ReadError
    by_verb, other = (for_reading, "") if verb == "read" else (ConfigError, "choose another path")
    kind, what, todo = _SYSTEM.get(error.errno or 0, (None, "{name} cannot be {done}" + " there" * bool(other), other))
    what = what.format(name=name, verb=verb, doing=doing, done=done)
    file = str(error.filename2 or error.filename or "")
    reason = f"the operating system reports: {error.strerror or error}"
    return (kind or by_verb)(what, why=reason if file in what else f"{reason}: {file}", todo=todo)


def with_system_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function of the Python API raise our errors for those of the operating system, as commands do."""

    @wraps(function)
    def explained(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except OSError as error:
            if error.errno is None:
                raise  # a library's own error under that name
            raise system_error(error, error.filename or "a file") from error
        except ValueError as error:
            if "null byte" not in str(error):
                raise
            raise ConfigError("a name contains a NUL character") from error

    return explained


@contextmanager
def explained_disk_errors(writing: str) -> Iterator[None]:
    """Raise our errors for those of the operating system while something is written.

    `writing` describes what is written.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of the output is gone, which is not an error of what is written
    except OSError as error:
        if error.errno is None:
            raise  # a library's own error under that name
        raise system_error(error, writing, "write") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an exception reports that the memory of the device or of the machine was not enough."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported
        return True
    # Not in other exceptions, whose text may quote a file.
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS_OF_NO_MEMORY)


def first_line(error: Exception) -> str:
    """Return the first line of an exception's text, without the colours that torch adds to its own."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[0] if lines else "no details"


@contextmanager
def explained_damage(
    name: object,
    problem: str,
    *kinds: type[Exception],
    todo: str = "",
    why: Callable[[Exception], str] = first_line,
) -> Iterator[None]:
    """Raise DataError for the exceptions that a damaged file causes in its reader; our own errors stay.

    Errors of the operating system are explained as such, except EINVAL, which a reader gets for a position outside of
    the file; a lack of memory is not damage.

    Args:
        name: The file, with which the first line of the error begins.
        problem: The rest of that line.
        kinds: The exceptions that are damage; all others if none is named.
        todo: Advice in the error.
        why: Function that returns the reason from the exception.

    """
    try:
        yield
    except (SvipError, BrokenPipeError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise system_error(error, error.filename or name) from error
        if is_out_of_memory(error) or not isinstance(error, kinds or Exception):
            raise
        raise DataError(
            f"{name} {problem}", why=why(error) if str(error) else type(error).__name__, todo=todo
        ) from error
