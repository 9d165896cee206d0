"""The program: run the app, or answer a shell's completion request, and turn what went wrong into an exit code."""

from __future__ import annotations

import io
import os
import re
import sys

COMPLETE = "_SVIPCTL_COMPLETE"
"""The environment variable of a completion request."""


def main() -> None:
    """Entry point of `svipctl`."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be in the terminal's encoding
    if os.environ.get(COMPLETE):
        sys.exit(_complete())
    from svipctl.signals import raising

    try:
        with raising():
            code = _run_and_flush(sys.argv[1:])
    except KeyboardInterrupt as error:
        code = _report_interruption(error, sys.argv[1:])
    sys.exit(code)


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


def _run_and_flush(arguments: list[str]) -> int:
    """Run the command, and return its exit code once everything is written."""
    from svipctl.cli._errors import interrupted, report_unwritten, silence_stdout
    from svipctl.errors import ExitCode

    code: int = ExitCode.DONE
    try:
        try:
            code = _run(arguments)
        except KeyboardInterrupt as error:
            code = _report_interruption(error, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        code = ExitCode.CHECK_FAILED
    except OSError as error:  # stdout takes no more; if the command noticed it, that is reported already
        silence_stdout()
        code = code or report_unwritten(error)
    except KeyboardInterrupt as error:  # while the last of it was written
        code = interrupted(error).exit_code
    return code


def _report_interruption(error: KeyboardInterrupt, arguments: list[str]) -> int:
    """Report Ctrl-C or a signal before the command started, mostly while something was imported."""
    from svipctl.cli._errors import interrupted, report
    from svipctl.cli._output import sink

    sink.json = "--json" in arguments
    return report(interrupted(error))


def _run(arguments: list[str]) -> int:
    import gc

    gc.disable()  # nothing that start-up makes is garbage, and looking for it takes a tenth of the time of help
    import typer

    from svipctl.cli._app import make_app
    from svipctl.cli._errors import interrupted, report, report_defect, report_usage
    from svipctl.cli._output import sink
    from svipctl.errors import ExitCode, SvipError

    sink.json, sink.debug = "--json" in arguments, "--debug" in arguments  # for errors of the command line itself
    try:
        app = make_app(arguments)
        gc.enable()
        code = app(args=normalised(arguments), prog_name="svipctl", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.DONE
    except SvipError as error:
        return report(error)
    except typer.TyperException as error:
        return report_usage(error)
    except typer.Abort as error:
        return report(interrupted(error))
    except BrokenPipeError:
        raise
    except Exception as error:
        return report_defect(error)


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
            from svipctl.cli._errors import silence_stdout

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


def _open_closed_streams() -> None:
    """Open the null device for each closed standard stream, or the next file that is opened would become that stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


if __name__ == "__main__":
    main()
