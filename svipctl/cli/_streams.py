"""The standard streams as the program needs them: open, never too narrow for a name, and a stderr that cannot fail."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


def prepare_streams() -> None:
    """Make the standard streams fit for whatever the program writes."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be in the terminal's encoding
    raw = _LossyFile(sys.stderr.fileno(), "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
    )


def silence_stdout() -> None:
    """Keep Python from complaining at exit after a reader closed the pipe early."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


class _LossyFile(io.FileIO):
    """A file that drops what it cannot take: no work is lost because nobody reads its log any more."""

    def write(self, content: Any, /) -> int:
        """Write bytes; a pipe without a reader, a closed terminal and a full disk take all of them."""
        try:
            return super().write(content) or len(content)
        except OSError:
            return len(content)


def _open_closed_streams() -> None:
    """Open the null device for each closed standard stream, or the next file that is opened would become that stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
