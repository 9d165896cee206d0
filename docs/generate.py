"""Write what is made from the program: completions/, docs/cli.md and docs/settings.md. `--check` only compares.

Run by `make generated`. Typer writes both: `typer docs/generate.py utils docs`, and its completion scripts.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from svipctl.cli._app import make_app
from svipctl.cli.completion import completion_script
from svipctl.settings.keys import known_keys
from svipctl.settings.schema import Settings

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {"bash": "svipctl.bash", "zsh": "_svipctl", "fish": "svipctl.fish", "powershell": "svipctl.ps1"}
INTRODUCTION = """
Made by `make generated`; `svipctl COMMAND --help` shows the same. [JSON documents](json.md) describes what each command prints
with `--json`, [exit codes](exit-codes.md) how it ends.
"""
SETTINGS_INTRODUCTION = """
# Settings

Every setting with its built-in default, made by `make generated`. Presets change many defaults: `svipctl config show DATASET
--origin` prints the value of each and where it comes from. Set one with `--set key=value`, in `svipctl.toml` or a file for
`--config` (`[optim]`, then `lr = 1e-4`), or in the environment (`SVIPCTL_OPTIM__LR=1e-4`).
"""
SECTIONS = {
    name: (inspect.getdoc(field.annotation) or "").partition(".")[0]
    for name, field in Settings.model_fields.items()
    if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel)
}
"""Section of the settings -> what it is about."""
app = make_app()


def generated() -> dict[str, str]:
    """Return path in the repository -> content."""
    found = {f"completions/{name}": completion_script(shell) for shell, name in SCRIPTS.items()}
    return found | {"docs/cli.md": reference(), "docs/settings.md": settings_reference()}


def reference() -> str:
    """Return the reference of all commands in Markdown."""
    command = [sys.executable, "-m", "typer", __file__, "utils", "docs", "--name", "svipctl", "--title", "Commands"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.rstrip() + "\n"
    title, _, rest = text.partition("\n")
    return title + "\n" + INTRODUCTION + re.sub(r"\x08\n((?:    .*\n?)+)", _in_console, rest)


def settings_reference() -> str:
    """Return the reference of all settings in Markdown, a section of keys at a time, from `svipctl.settings.schema`."""
    lines, section = [SETTINGS_INTRODUCTION.strip()], None
    for key, field in known_keys():
        name = key.rpartition(".")[0]
        if name != section:
            section = name
            title = f"`{name}`: {SECTIONS[name]}" if name else "General"
            lines += ["", f"## {title}", "", "| key | type | default | meaning |", "|---|---|---|---|"]
        meaning = " ".join((field.description or "").split())
        cells = [f"`{key}`", _type_name(field.annotation), _default(field), meaning]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type_name(annotation: Any) -> str:
    """Return a type as a user writes its values."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(part) for part in parts if part is not NoneType)
    if origin is tuple:
        inner = [_type_name(part) for part in parts if part is not ...]
        return f"list of {inner[0]}" if ... in parts else f"{len(inner)} of {inner[0]}"
    names = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}
    return names.get(annotation, "table" if origin is dict else str(annotation))


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, "", (), {}):
        return ""
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _in_console(examples: re.Match[str]) -> str:
    lines = [f"$ {line.strip()}\n" for line in examples[1].splitlines()]
    return "".join(["```console\n", *lines, "```\n"])


def stale(root: Path) -> list[str]:
    """Return the files that differ from what the program makes now, and those that it no longer makes."""
    wanted = generated()
    existing = {str(path.relative_to(root)) for path in root.glob("completions/*")}
    differ = {name for name, text in wanted.items() if not (root / name).is_file() or (root / name).read_text() != text}
    return sorted(differ | (existing - set(wanted)))


def write(root: Path) -> list[str]:
    """Write the stale files, and return their names."""
    wanted = generated()
    changed = stale(root)
    for name in changed:
        path = root / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    return changed


if __name__ == "__main__":
    names = stale(ROOT) if "--check" in sys.argv else write(ROOT)
    for name in names:
        print(name)
    if names and "--check" in sys.argv:
        sys.exit("stale: run `make generated`")
