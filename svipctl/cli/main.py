"""The program: answer a shell's completion request, or run the app and turn what went wrong into an exit code."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Entry point of `svipctl`."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be in the terminal's encoding
    if os.environ.get("_SVIPCTL_COMPLETE"):
        _complete()
    from svipctl.signals import raising

    try:
        with raising():
            code = _written(sys.argv[1:])
    except KeyboardInterrupt as error:
        code = _told(error, sys.argv[1:])
    sys.exit(code)


def _written(arguments: list[str]) -> int:
    """Run, and see to it that what was said has been written."""
    from svipctl.cli.errors import report_unwritten, silence_stdout, stopped
    from svipctl.errors import ExitCode

    code: int = ExitCode.DONE
    try:
        try:
            code = _run(arguments)
        except KeyboardInterrupt as error:
            code = _told(error, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        code = ExitCode.CHECK_FAILED
    except OSError as error:  # stdout takes no more; where the command noticed it, that is told already
        silence_stdout()
        code = code or report_unwritten(error)
    except KeyboardInterrupt as error:  # while the last of it was written
        code = stopped(error).exit_code
    return code


def _told(error: KeyboardInterrupt, arguments: list[str]) -> int:
    """Stopped where no command was there to see it: mostly while something was imported."""
    from svipctl.cli.errors import report, stopped
    from svipctl.cli.output import sink

    sink.json = "--json" in arguments
    return report(stopped(error))


def _run(arguments: list[str]) -> int:
    import gc

    gc.disable()  # nothing that start-up makes is garbage, and looking for it takes a tenth of the time of help
    import typer

    from svipctl.cli.app import app
    from svipctl.cli.errors import report, report_defect, report_usage, stopped
    from svipctl.cli.help import print_asked_page
    from svipctl.cli.output import sink
    from svipctl.errors import ExitCode, SvipError

    sink.json = "--json" in arguments  # an error of the command line itself comes before any flag is read
    try:
        if print_asked_page(app, arguments):
            return ExitCode.DONE
        gc.enable()
        code = app(args=_with_auto(_with_home(arguments)), prog_name="svipctl", standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.DONE
    except SvipError as error:
        return report(error)
    except typer.TyperException as error:
        return report_usage(error)
    except typer.Abort as error:
        return report(stopped(error))
    except BrokenPipeError:
        raise
    except Exception as error:
        return report_defect(error)


def _complete() -> None:
    """A shell waits at a prompt: whatever goes wrong, it gets no answer rather than an error in its line."""
    try:
        from svipctl.cli.answers import answer

        sys.stdout.write(answer(os.environ) + "\n")
        sys.stdout.flush()
    except Exception:
        if os.environ.get("_SVIPCTL_DEBUG_COMPLETION"):
            raise
        from svipctl.cli.errors import silence_stdout

        silence_stdout()  # what could not be written is not worth a word
    except KeyboardInterrupt:
        pass
    sys.exit(0)


def _open_closed_streams() -> None:
    """A closed standard stream is the null device: else the next file that is opened would become that stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _with_home(arguments: list[str]) -> list[str]:
    """`--data-dir=~/data` as `--data-dir ~/data`: in the first a shell sees no beginning of a path."""
    return [_at_home(argument) if argument.startswith("--") else argument for argument in arguments]


def _at_home(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag + equals + os.path.expanduser(value)  # noqa: PTH111 (Path's raises where there is no such user)


def _with_auto(arguments: list[str]) -> list[str]:
    """`--resume` alone means `--resume auto`; Typer has no options whose value may be left out."""
    following = [*arguments[1:], "-"]
    pairs = zip(arguments, following)
    return [a for one, after in pairs for a in ((one, "auto") if one == "--resume" and after[0:1] == "-" else (one,))]


if __name__ == "__main__":
    main()
