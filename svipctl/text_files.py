"""Read text files that people write (tables, lists, settings), from any editor and operating system."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from unicodedata import normalize

from svipctl.errors import DataError
from svipctl.files import read_regular

LARGEST = 2**26
"""Size of the largest text in bytes; a table of 100,000 classes with 100 attributes has a quarter of it."""


def read_text(path: Path, *, what: str = "file", todo: str = "") -> str:
    """Return the content of a text file in UTF-8, or in UTF-16 with a byte-order mark; line ends stay.

    Args:
        path: The file.
        what: Noun for the file in the error if it is missing.
        todo: Advice in that error.

    Raises:
        DataError: The file is missing, not a regular file, too large, or not text in these encodings.

    """
    content = read_regular(path, LARGEST, what=what, todo=todo)
    try:
        text = content.decode("utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} is not text in UTF-8", why=f"line {line}: {error}", todo="save it as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path} is not text in UTF-8", why="it contains NUL characters", todo="save it as UTF-8")
    return text


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list, stripped and in NFC, without empty ones; same errors as `read_text`."""
    lines = (line.strip() for line in read_text(path).splitlines())
    return [same_spelling(line) for line in lines if line]


def same_spelling(name: str) -> str:
    """Return a name in NFC, the form in which names are compared: macOS writes letters and their accents separately."""
    return normalize("NFC", name)
