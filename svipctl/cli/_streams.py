"""Prepare the standard streams: open, able to print any name, and a stderr that cannot fail."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


def prepare_streams() -> None:
    """Prepare the standard streams for any text that the program writes."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may not be in the terminal's encoding
    raw = _LossyFile(sys.stderr.fileno(), "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
    )


def silence_stdout() -> None:
    """Prevent Python's error at exit after a reader closed the pipe early."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


class _LossyFile(io.FileIO):
    """A file that drops bytes which cannot be written, so that no work is lost because its log has no reader."""

    def write(self, content: Any, /) -> int:
        """Write bytes; a pipe without a reader, a closed terminal and a full disk drop them."""
        try:
            return super().write(content) or len(content)
        except OSError:
            return len(content)


def _open_closed_streams() -> None:
    """Open the null device for each closed standard stream; otherwise the next opened file would become that stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
