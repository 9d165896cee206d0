"""The answer to a shell that asks what could stand at the cursor.

It comes from `completion.json`, a table of the program that is generated from the app (`make generated`), so that neither
Typer nor any command is imported for it. The script of `svipctl completion SHELL` sets `_SVIPCTL_COMPLETE` to the
shell's name and `_SVIPCTL_LINE` to the line up to the cursor. The first line of the answer is `values`, or `files` where
the shell completes paths itself; then comes one candidate a line, after a tab what it means.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

REQUEST, LINE = "_SVIPCTL_COMPLETE", "_SVIPCTL_LINE"
SHELLS = ("bash", "zsh", "fish", "powershell")

Table = dict[str, Any]
Candidates = list[tuple[str, str]]


def table() -> Table:
    """Commands, their options and what these take, and the keys of the configuration."""
    found: Table = json.loads(files("svipctl.cli").joinpath("completion.json").read_text(encoding="utf-8"))
    return found


def answer(environment: Mapping[str, str]) -> str:
    """What the shell's script reads; nothing when the request makes no sense."""
    shell = environment[REQUEST]
    if shell not in SHELLS or LINE not in environment:
        return ""
    words = split_line(environment[LINE])
    kind, found = candidates(words)
    if shell == "bash":  # it replaces what follows the last of its word breaks only
        breaks = [words[-1].rfind(mark) for mark in environment.get("COMP_WORDBREAKS", "=:") if mark in "=:"]
        found = [(value[max(breaks, default=-1) + 1 :], "") for value, _ in found]
    return "\n".join([kind, *(f"{value}\t{meaning}" if meaning else value for value, meaning in found)])


def split_line(line: str) -> list[str]:
    """The words of an unfinished line, the last of them the one at the cursor."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:  # an open quote, or a backslash at the end: its content is what was read so far
        return [*words, lexer.token.lstrip("'\"")] if lexer.token else [*words, ""]
    return [*words, ""] if not words or (line[-1:].isspace() and not line.endswith("\\ ")) else words


def candidates(words: list[str]) -> tuple[str, Candidates]:
    """Kind of the answer, and what could stand in place of the last word."""
    everything = table()
    node, rest = everything["program"], words[1:-1]
    while rest and rest[0] in node.get("commands", {}):
        node, rest = node["commands"][rest[0]], rest[1:]
    incomplete = words[-1]
    if "commands" in node:
        known = [*node["commands"].items(), *(node["options"].items() if incomplete.startswith("-") else ())]
        return "values", [(name, one["help"]) for name, one in known if name.startswith(incomplete)]
    arguments, last = _positional(node, rest)
    if last is not None:
        return _values(everything, last["takes"], incomplete, "", rest)
    if incomplete.startswith("-") and "--" not in rest:
        option, equals, value = incomplete.partition("=")
        if equals and option in node["options"]:
            return _values(everything, node["options"][option]["takes"], value, f"{option}=", rest)
        return "values", [(name, one["help"]) for name, one in node["options"].items() if name.startswith(incomplete)]
    places = node["arguments"]
    if not places:
        return "values", []
    place = places[min(len(arguments), len(places) - 1)]
    if len(arguments) >= len(places) and not places[-1]["many"]:
        return "values", []
    return _values(everything, place["takes"], incomplete, "", rest)


def _positional(node: Table, words: list[str]) -> tuple[list[str], Table | None]:
    """The arguments among the words, and the option that waits for its value at their end."""
    arguments: list[str] = []
    waiting: Table | None = None
    only_arguments = False
    for word in words:
        if waiting is not None:
            waiting = None
        elif word == "--":
            only_arguments = True
        elif word.startswith("-") and len(word) > 1 and not only_arguments:
            option = node["options"].get(word)
            waiting = option if option is not None and option["takes"] is not None else None
        else:
            arguments.append(word)
    return arguments, waiting


def _values(
    everything: Table, takes: str | list[str] | None, incomplete: str, before: str, words: list[str]
) -> tuple[str, Candidates]:
    if takes == "files":
        return "files", []
    if isinstance(takes, list):
        found = [value for value in takes if value.startswith(incomplete)]
    elif takes == "settings":
        found = _settings(everything["settings"], incomplete)
    elif takes:
        from svipctl.cli import complete

        found = complete.BY_NAME[takes](incomplete, words)
    else:
        found = []
    return "values", [(before + value, "") for value in found]


def _settings(keys: dict[str, list[str]], incomplete: str) -> list[str]:
    key, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{known}=" for known in keys if known.startswith(incomplete)]
    return [f"{key}={choice}" for choice in keys.get(key, []) if choice.startswith(value)]


def flag_value(words: list[str], flag: str, default: str) -> str:
    """The value that a flag has among the words of a line."""
    for before, word in zip(words, [*words[1:], ""]):
        if before == flag and word:
            return word
        if before.startswith(f"{flag}="):
            return before.partition("=")[2]
    return default


def default_folder(words: list[str], flag: str, name: str) -> Path:
    """The folder of a flag, of its environment variable, of svipctl.toml in the working folder, or the built-in one."""
    import os

    found = flag_value(words, flag, os.environ.get(f"SVIPCTL_{name.upper()}_DIR", "")) or _configured(f"{name}_dir")
    return Path(found or name).expanduser()


def _configured(key: str) -> str:
    """What svipctl.toml says; a file that is damaged says nothing here."""
    try:
        text = Path("svipctl.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    import tomllib

    try:
        value = tomllib.loads(text).get(key)
    except tomllib.TOMLDecodeError:
        return ""
    return value if isinstance(value, str) else ""
