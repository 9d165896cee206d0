"""Quote and escape text from data for a shell, a terminal or a spreadsheet."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, characters that reverse the direction of text, lone surrogates, and characters that XML
forbids.
"""
_LINE = re.compile(r"[\n\t]")
_MARKDOWN = re.compile(r"[\\`*\[\]<>|&]")
_FORMULA = re.compile("[=+@\\-\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


_LACKING = {"--data-dir": ("runs", "completion", "config"), "--runs-dir": ("data", "w2v", "completion", "config")}
"""Flag of a folder -> commands that do not have it."""
_folders: ContextVar[Mapping[str, object] | None] = ContextVar("folders", default=None)


def repeat_in_commands(folders: Mapping[str, object]) -> None:
    """Add the folders that the user passed (flag -> folder) to all commands that are shown from now on."""
    _folders.set(folders)


def shell_command(*words: object) -> str:
    """Return a svipctl command line that a shell reads as exactly these words, and the folders that the user passed."""
    repeated = [
        word
        for flag, folder in (_folders.get() or {}).items()
        if words and str(words[0]) not in _LACKING[flag] and flag not in words
        for word in (flag, folder)
    ]
    return shell_words("svipctl", *words, *repeated)


def shell_words(*words: object) -> str:
    """Return words quoted for a shell on one printable line, for instance an option and its value."""
    return " ".join(map(_quoted, map(str, words)))


def printable(text: str) -> str:
    r"""Return text with control characters as escapes, for instance `\x1b`; line feeds and tabs stay."""
    return _UNPRINTABLE.sub(_escaped, text)


def printable_line(text: str) -> str:
    """Return text as `printable` does, on one line."""
    return _LINE.sub(_escaped, printable(text))


def markdown_text(text: str) -> str:
    """Return text on one printable line that Markdown shows unchanged, without markup or HTML."""
    return _MARKDOWN.sub(r"\\\g<0>", printable_line(text))


def spreadsheet_cell(value: Any) -> Any:
    """Return a value as a cell of a CSV file that a spreadsheet shows unchanged.

    Text that a spreadsheet would compute (it begins with =, +, - or @ and is not a number) gets an apostrophe before
    it, and control characters are escaped. Numbers stay, and None, an empty cell.
    """
    if value is None or isinstance(value, int | float):
        return value
    text = printable_line(str(value))
    return f"'{text}" if _FORMULA.match(str(value)) and not _NUMBER.fullmatch(text) else text


def _quoted(word: str) -> str:
    """Return a word quoted for a shell: in the form $'...' of bash, zsh and POSIX 2024 if it has control characters."""
    if printable_line(word) == word:
        return shlex.quote(word)
    literal = re.sub(r"[\\\\']", r"\\\g<0>", word)
    return "$'" + _LINE.sub(_in_bytes, _UNPRINTABLE.sub(_in_bytes, literal)) + "'"


def _in_bytes(match: re.Match[str]) -> str:
    errors = "surrogateescape" if "\udc80" <= match[0] <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode(errors=errors))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
