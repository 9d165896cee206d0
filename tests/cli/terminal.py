"""Run a command on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

from tests.processes import clean_environment


def on_terminal(
    *arguments: str, cwd: Path, columns: int = 120, stdout: Path | None = None, **environment: str
) -> tuple[int, str]:
    """Return the exit code and everything that `svipctl ARGUMENTS` wrote to a terminal of the given width and 40 lines.

    With `stdout`, only stderr is the terminal.
    """
    settings = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONUTF8": "1"} | environment
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(cwd)
        if stdout:
            os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT), 1)
        inherited = {name: value for name, value in clean_environment().items() if name not in ("COLUMNS", "LINES")}
        os.execvpe(sys.executable, [sys.executable, "-m", "svipctl", *arguments], inherited | settings)
    written = b""
    while True:
        try:
            some = os.read(terminal, 65536)
        except OSError:  # the child has closed its end
            some = b""
        if not some:
            break
        written += some
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), written.decode()
