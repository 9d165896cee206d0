"""Text from data where it leaves the program: for a shell, a terminal, a spreadsheet."""

from __future__ import annotations

import re
import shlex
from typing import Any

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, what reverses the direction of the text after it, lone surrogates, and what XML cannot hold."""
_LINE = re.compile(r"[\n\t]")
_FORMULA = re.compile("[=+@\\-\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def shell_command(*words: object) -> str:
    """Return a command line of svipctl that a shell reads as exactly these words."""
    return shell_words("svipctl", *words)


def shell_words(*words: object) -> str:
    """Return words as a shell reads them, for instance an option and its value."""
    return shlex.join(map(str, words))


def printable(text: str) -> str:
    r"""Return text with control characters as escapes, for instance `\x1b`; line feeds and tabs stay."""
    return _UNPRINTABLE.sub(_escaped, text)


def printable_line(text: str) -> str:
    """Return text as `printable` does, on one line."""
    return _LINE.sub(_escaped, printable(text))


def spreadsheet_cell(value: Any) -> Any:
    """Return the cell of a CSV file that a spreadsheet shows as it is.

    Text that a spreadsheet would compute (it begins with =, +, - or @ and is no number) is preceded by an apostrophe, and
    control characters are escaped. Numbers stay.
    """
    if isinstance(value, int | float):
        return value
    text = printable_line(str(value))
    return f"'{text}" if _FORMULA.match(str(value)) and not _NUMBER.fullmatch(text) else text


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
