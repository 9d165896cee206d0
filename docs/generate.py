"""Write what is made from the program: completions/, docs/cli.md and docs/settings.md. `--check` only compares.

Run by `make generated`. Typer writes both: `typer docs/generate.py utils docs`, and its completion scripts.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from svipctl.cli._app import make_app
from svipctl.cli.completion import completion_script
from svipctl.settings.command_line import toml_value
from svipctl.settings.keys import flatten, known_keys
from svipctl.settings.schema import Settings

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {"bash": "svipctl.bash", "zsh": "_svipctl", "fish": "svipctl.fish", "powershell": "svipctl.ps1"}
INTRODUCTION = """
Made by `make generated`; `svipctl COMMAND --help` shows the same. [json.md](json.md) describes what each command prints
with `--json`, [exit-codes.md](exit-codes.md) the exit codes.
"""
SETTINGS_INTRODUCTION = """# Settings

Made by `make generated`; `svipctl config show DATASET --describe` shows the same with the values of your configuration.
`--set KEY=VALUE` sets each, and so do `svipctl.toml`, `--config FILE` and `SVIPCTL_SECTION__NAME` in the environment; the
last part of a key is enough where it is the only one (`--set lr=1e-4`). Presets of recipe, data set and backbone stand
above these defaults.

| setting | default | meaning |
|---|---|---|"""
app = make_app()


def generated() -> dict[str, str]:
    """Return path in the repository -> content."""
    found = {f"completions/{name}": completion_script(shell) for shell, name in SCRIPTS.items()}
    return found | {"docs/cli.md": reference(), "docs/settings.md": settings_reference()}


def settings_reference() -> str:
    """Return the table of every setting in Markdown."""
    defaults = flatten(Settings(dataset="toybirds"))
    rows = [
        f"| `{key}` | `{'not set' if defaults[key] is None else toml_value(defaults[key])}` | {_in_a_cell(field)} |"
        for key, field in known_keys()
    ]
    return "\n".join([SETTINGS_INTRODUCTION, *rows]) + "\n"


def _in_a_cell(field: Any) -> str:
    return " ".join(field.description.split()).replace("|", "\\|")


def reference() -> str:
    """Return the reference of all commands in Markdown."""
    command = [sys.executable, "-m", "typer", __file__, "utils", "docs", "--name", "svipctl", "--title", "Commands"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.rstrip() + "\n"
    title, _, rest = text.partition("\n")
    return title + "\n" + INTRODUCTION + re.sub(r"\x08\n((?:    .*\n?)+)", _in_console, rest)


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
