"""Run the program: execute the command or answer a completion request, and return an exit code for every error."""

from __future__ import annotations

import atexit
import io
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svipctl.signals import Stop

COMPLETE = "_SVIPCTL_COMPLETE"
"""Environment variable of a completion request."""
_ENDED = "_SVIPCTL_ENDED"  # of svipctl.distributed.launch, which imports torch


def main() -> None:
    """Run `svipctl`, the entry point of the package."""
    from svipctl.signals import end_on_signals, raise_signals

    code = 1  # of an error that only --debug lets through

    def end() -> None:
        with suppress(OSError):  # no reader is left
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    # The last action before Python's own shutdown, which is left out: a thread of torch's process groups that asks
    # for Python then aborts the process, although all work is done and written.
    atexit.register(end)
    try:
        stop = raise_signals()
        from svipctl.cli._streams import prepare_streams

        prepare_streams()
        code = answer(stop)
    except KeyboardInterrupt as error:
        code = _report_interruption(error)
    end_on_signals(code)
    _tell_launcher()
    sys.exit(code)


def answer(stop: Stop | None = None) -> int:
    """Run the command of `sys.argv`, or answer a completion request.

    Args:
        stop: Result of `raise_signals`, if signals are raised.

    Returns:
        The exit code, after everything is written.

    """
    from svipctl.cli._errors import report_unwritten
    from svipctl.cli._streams import silence_stdout
    from svipctl.errors import ExitCode

    code: int = ExitCode.DONE
    try:
        code = _complete() if os.environ.get(COMPLETE) else _run(sys.argv[1:], stop)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        code = ExitCode.CHECK_FAILED
    except OSError as error:  # stdout accepts no more; if the command noticed it, that is already reported
        silence_stdout()
        code = code or report_unwritten(error)
    return code


def normalised(arguments: list[str]) -> list[str]:
    """Return the command line with `~` expanded in `--flag=~/path`, and with `auto` after a bare `--resume`.

    Shells do not expand the first; Typer has no options with an optional value.
    """
    home = [_with_home(argument) if argument.startswith("--") else argument for argument in arguments]
    following = [*home[1:], "-"]
    return [
        word
        for one, after in zip(home, following)
        for word in ((one, "auto") if one == "--resume" and after[0:1] == "-" else (one,))
    ]


def _with_home(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag + equals + os.path.expanduser(value)  # noqa: PTH111 (Path's raises where there is no such user)


def _tell_launcher() -> None:
    """Write the file by which `svipctl.distributed.launch` knows that the first of its processes has reported its end."""
    ended = os.environ.get(_ENDED)
    if ended and os.environ.get("RANK") == "0":
        with suppress(OSError), open(ended, "w"):  # noqa: PTH123 (pathlib takes long to import)
            pass


def _report_interruption(error: KeyboardInterrupt) -> int:
    """Report Ctrl-C or a signal, wherever the program was."""
    from svipctl.cli._errors import interrupted, report
    from svipctl.cli._output import sink
    from svipctl.cli._streams import silence_stdout
    from svipctl.signals import end_on_signals

    shown = interrupted(error)
    end_on_signals(shown.exit_code)
    sink.json = "--json" in sys.argv and not sink.is_answered
    try:
        report(shown)
        sys.stdout.flush()
    except OSError:  # no reader is left
        silence_stdout()
    return shown.exit_code


def _run(arguments: list[str], stop: Stop | None) -> int:
    import gc
    import warnings

    gc.disable()  # start-up creates no garbage, and looking for it takes a tenth of the time of help
    from typer import Exit
    from typer.main import get_command

    from svipctl.cli._app import make_app
    from svipctl.cli._errors import report_any
    from svipctl.cli._output import sink
    from svipctl.errors import ExitCode
    from svipctl.signals import Signalled

    sink.json, sink.debug = "--json" in arguments, "--debug" in arguments  # for errors of the command line itself
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged EXIF; an image that does not decode is an error
    if not sink.debug:
        warnings.showwarning = lambda message, *_, **__: sink.warn(str(message).partition("\n")[0])
    try:
        program = get_command(make_app(arguments))
        gc.enable()
        with program.make_context("svipctl", normalised(arguments)) as context:  # its main() would hide signals
            program.invoke(context)
        return ExitCode.DONE
    except Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        if stop:  # any exception that an interrupted library raised because of the signal
            raise Signalled(stop.number) from error
        return report_any(error)


def _complete() -> int:
    """Answer a completion request; after any error the shell gets no answer rather than a message."""
    from contextlib import redirect_stderr, redirect_stdout

    answer, code = io.StringIO(), 1
    prefix = _join_words_of_bash()
    try:
        with redirect_stdout(answer), redirect_stderr(io.StringIO()):
            from typer.completion import completion_init

            from svipctl.cli._app import make_app

            completion_init()
            line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
            make_app(line.split()[1:])(prog_name="svipctl")
    except SystemExit as ended:
        code = int(ended.code or 0)  # the request of Typer's script for fish
        sys.stdout.writelines(f"{line.removeprefix(prefix)}\n" for line in answer.getvalue().splitlines())
    except BaseException:
        if os.environ.get("_SVIPCTL_DEBUG_COMPLETION"):
            raise
    return code


def _join_words_of_bash() -> str:
    """Join the words that bash splits at `=` and `:`, and return the part of the last one that bash keeps."""
    try:
        count = int(os.environ["COMP_CWORD"]) + 1
        words = os.environ["COMP_WORDS"].split("\n")[:count]
    except (KeyError, ValueError):
        return ""
    joined = re.sub(r"\n?([=:]+)\n?", r"\1", "\n".join(words))
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = joined, str(joined.count("\n"))
    last = joined.rpartition("\n")[2]
    return last[: max(last.rfind("="), last.rfind(":")) + 1]


if __name__ == "__main__":
    main()
