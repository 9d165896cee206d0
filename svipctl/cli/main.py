"""The program: run the app, turn what went wrong into an exit code."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `svipctl`."""
    from svipctl.cli.app import app
    from svipctl.cli.errors import report, report_defect, silence_stdout
    from svipctl.errors import ExitCode, SvipError

    try:
        app(args=_with_auto(sys.argv[1:]), prog_name="svipctl")
    except SvipError as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        sys.exit(ExitCode.CTRL_C)
    except BrokenPipeError:
        silence_stdout()
        sys.exit(ExitCode.CHECK_FAILED)
    except Exception as error:
        sys.exit(report_defect(error))


def _with_auto(arguments: list[str]) -> list[str]:
    """`--resume` alone means `--resume auto`; Typer has no options whose value may be left out."""
    following = [*arguments[1:], "-"]
    pairs = zip(arguments, following)
    return [a for one, after in pairs for a in ((one, "auto") if one == "--resume" and after[0:1] == "-" else (one,))]


if __name__ == "__main__":
    main()
