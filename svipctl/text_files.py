"""Text that people write: tables, lists and settings, from any editor and any system."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from unicodedata import normalize

from svipctl.errors import DataError
from svipctl.files import read_regular

LARGEST = 2**26
"""Size of the largest text in bytes; a table of 100,000 classes with 100 attributes has a quarter of it."""


def read_text(path: Path, *, what: str = "file", todo: str = "") -> str:
    """Return the content of a text file: UTF-8 with or without a byte-order mark, or UTF-16 with one; line ends stay.

    Args:
        path: The file.
        what: Noun for the file in the error of a missing one.
        todo: Advice in that error.

    Raises:
        DataError: It is missing, not a regular file, too large, or not such text.

    """
    content = read_regular(path, LARGEST, what=what, todo=todo)
    try:
        text = content.decode("utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} is not text in UTF-8", why=f"line {line}: {error}", todo="save it as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path} is not text in UTF-8", why="it has characters of code 0", todo="save it as UTF-8")
    return text


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list, stripped and in NFC, without empty ones; errors as of `read_text`."""
    lines = (line.strip() for line in read_text(path).splitlines())
    return [same_spelling(line) for line in lines if line]


def same_spelling(name: str) -> str:
    """Return a name in NFC, in which names are compared: macOS writes letters and their accents separately."""
    return normalize("NFC", name)
