"""Convert an exception to the message on stderr, the JSON document and the exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from contextlib import suppress

from svipctl.cli._output import sink
from svipctl.errors import (
    FULL,
    CheckFailed,
    ConfigError,
    ExitCode,
    Interrupted,
    InterruptedByHand,
    PeerLost,
    ResourceError,
    SvipError,
    is_out_of_memory,
    nearest,
    system_error,
)
from svipctl.signals import Signalled

_LOOP = "Symlink loop from"
_NO_CHOICE = re.compile(r"(?P<head>.+?): '(?P<word>.*)' is not one of (?P<known>.+)")


def report(error: SvipError) -> ExitCode:
    """Print an error on stderr (and as the JSON document), and return the exit code."""
    if sink.silent and isinstance(error, CheckFailed | ConfigError | Interrupted | PeerLost):
        return error.exit_code  # happens in all processes at once: the first one reports it
    if sink.debug:
        traceback.print_exception(error)
    shown = {"what": error.what, "why": error.why, "todo": error.todo, "exit_code": int(error.exit_code)}
    sink.document({**error.document, "error": shown})
    _print(error)
    return error.exit_code


def _print(error: SvipError) -> None:
    lines = [f"error: {error.what}"]
    lines += [f"  {line}" for line in error.why.splitlines()]
    if error.todo:
        lines.append(f"  next: {error.todo}")
    sink.complain("\n".join(lines))


def report_any(error: Exception) -> ExitCode:
    """Report any exception that ended a command."""
    import typer

    if isinstance(error, typer.TyperException):
        return report_usage(error)
    return report(error if isinstance(error, SvipError) else _explained(error))


def _explained(error: Exception) -> SvipError:
    """Return our error for an exception that is not ours: a defect, unless the system or the installation caused it."""
    lines = str(error).strip().splitlines()
    if is_out_of_memory(error):
        return ResourceError("out of memory", why=lines[0] if lines else "", todo="use a smaller --batch-size")
    if isinstance(error, OSError) and error.errno is not None:
        return _from_system(error)
    if isinstance(error, RuntimeError) and lines and lines[0].startswith(_LOOP):  # pathlib's, before Python 3.13
        path = lines[0].removeprefix(_LOOP).strip(" '")
        return _from_system(OSError(errno.ELOOP, os.strerror(errno.ELOOP), path))
    if isinstance(error, ValueError) and "null byte" in str(error):
        return ConfigError("a name contains a NUL character")
    if isinstance(error, ImportError):
        return SvipError("a library cannot be imported", why=lines[0] if lines else "", todo=_import_fix(error))
    defect = SvipError(
        f"unexpected {type(error).__name__}: {lines[0] if lines else 'no details'}",
        todo="run the command again with --debug, and report its output",
    )
    defect.__cause__ = error
    return defect


def interrupted(error: BaseException) -> Interrupted:
    """Return the error of Ctrl-C, or of a signal, where nothing handles it."""
    todo = "run the same command again (train: add --resume)"
    if isinstance(error, Signalled) and error.received is not signal.SIGINT:
        return Interrupted(f"stopped by {error.received.name}", todo=todo)
    return InterruptedByHand("stopped by Ctrl-C", todo=todo)


def _import_fix(error: ImportError) -> str:
    """Return the command that may help: the doctor, unless the doctor itself cannot start."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"pip install {error.name.partition('.')[0].replace('_', '-')}"
    return "svipctl doctor" if sys.argv[1:2] != ["doctor"] else "pip install --force-reinstall svipctl"


def report_unwritten(error: OSError) -> ExitCode:
    """Report on stderr only that stdout cannot be written: a document cannot be written either."""
    if sink.debug:
        traceback.print_exception(error)
    shown = _from_system(error)
    with suppress(OSError):
        _print(shown)
    return shown.exit_code


def _from_system(error: OSError) -> SvipError:
    """Return our error for an error of the operating system about a file, or about the output if it names none."""
    if error.filename is not None:
        return system_error(error, error.filename)
    if error.errno in FULL:
        return ResourceError(
            "no space left for the output",
            why=f"the operating system reports: {error.strerror}",
            todo="free some space, or redirect the output",
        )
    return SvipError("the output cannot be written", why=f"the operating system reports: {error.strerror}")


def report_usage(error: Exception) -> ExitCode:
    """Report a command line that does not parse, like every other error."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "svipctl"
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(str(error).rstrip("\n") + "\n")
        return ExitCode.USAGE
    what, why = _usage_message(error)
    known = getattr(getattr(context, "command", None), "commands", None)
    if not why and known and what.startswith("No such command"):
        why = nearest(what.split("'")[1] if "'" in what else "", known)
    return report(ConfigError(what[:1].lower() + what[1:], why=why, todo=f"{path} --help"))


def _usage_message(error: Exception) -> tuple[str, str]:
    """Return the message and the most similar names from the parser's sentence."""
    text = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    text = text.replace("Value error, ", "").rstrip(".")
    text = re.sub(r"Got unexpected extra arguments?(\(s\))? \((.*)\)", r"Too many arguments: \2", text)
    if choice := _NO_CHOICE.fullmatch(text):
        known = re.findall(r"'([^']*)'", choice["known"])
        return f"{choice['head']}: there is no {choice['word']!r}", nearest(choice["word"], known)
    for mark in (" (Possible options: ", ". Did you mean ", " Did you mean ", " (Did you mean "):
        what, found, names = text.partition(mark)
        if found:
            return what.rstrip("."), f"did you mean {names.rstrip('?)')}?"
    return text, ""
