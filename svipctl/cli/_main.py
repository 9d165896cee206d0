"""The program: run the app, or answer a shell's completion request, and turn what went wrong into an exit code."""

from __future__ import annotations

import atexit
import io
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svipctl.signals import Stop

COMPLETE = "_SVIPCTL_COMPLETE"
"""The environment variable of a completion request."""


def main() -> None:
    """Entry point of `svipctl`."""
    from svipctl.signals import end_on_signals, ignore_signals, raise_signals

    atexit.register(ignore_signals)  # the last thing that Python does before it takes itself apart
    try:
        heard = raise_signals()
        from svipctl.cli._streams import prepare_streams

        prepare_streams()
        code = answer(heard)
    except KeyboardInterrupt as error:
        code = _report_interruption(error)
    end_on_signals(code)
    sys.exit(code)


def answer(heard: Stop | None = None) -> int:
    """Run the command of `sys.argv`, or answer a completion request.

    Args:
        heard: What `raise_signals` returned, if signals are raised.

    Returns:
        The exit code, once everything is written.

    """
    if os.environ.get(COMPLETE):
        return _complete()
    from svipctl.cli._errors import report_unwritten
    from svipctl.cli._streams import silence_stdout
    from svipctl.errors import ExitCode

    code: int = ExitCode.DONE
    try:
        code = _run(sys.argv[1:], heard)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        code = ExitCode.CHECK_FAILED
    except OSError as error:  # stdout takes no more; if the command noticed it, that is reported already
        silence_stdout()
        code = code or report_unwritten(error)
    return code


def normalised(arguments: list[str]) -> list[str]:
    """Return the command line with the home folder in `--flag=~/path`, and with the `auto` that `--resume` alone means.

    A shell sees no path in the first; Typer has no options whose value may be left out.
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
    except OSError:  # nobody reads it
        silence_stdout()
    return shown.exit_code


def _run(arguments: list[str], heard: Stop | None) -> int:
    import gc

    gc.disable()  # nothing that start-up makes is garbage, and looking for it takes a tenth of the time of help
    from svipctl.cli._app import make_app
    from svipctl.cli._errors import report_any
    from svipctl.cli._output import sink
    from svipctl.errors import ExitCode
    from svipctl.signals import Signalled

    sink.json, sink.debug = "--json" in arguments, "--debug" in arguments  # for errors of the command line itself
    try:
        app = make_app(arguments)
        gc.enable()
        code = app(args=normalised(arguments), prog_name="svipctl", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.DONE
    except BrokenPipeError:
        raise
    except Exception as error:
        if heard:  # whatever an interrupted library made of the signal's exception
            raise Signalled(heard.number) from error
        return report_any(error)


def _complete() -> int:
    """Answer a completion request: a shell at its prompt gets no answer rather than an error, whatever happens."""
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
        code = int(ended.code or 0)  # what Typer's script for fish asks for
        lines = [line.removeprefix(prefix) for line in answer.getvalue().splitlines()]
        try:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
        except OSError:
            from svipctl.cli._streams import silence_stdout

            silence_stdout()
    except BaseException:
        if os.environ.get("_SVIPCTL_DEBUG_COMPLETION"):
            raise
    return code


def _join_words_of_bash() -> str:
    """Join the words that bash splits at `=` and `:`, and return the part of the last one that bash does not replace."""
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
