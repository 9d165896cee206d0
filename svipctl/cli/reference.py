"""What is generated from the app: the table that completion reads, docs/cli.md, and the man pages.

`make generated` writes the files, and a test finds any that are stale.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.main import get_command

from svipctl.cli import complete, shell_scripts
from svipctl.cli.pages import Page, all_pages, split_help
from svipctl.version import __version__

# Flags have one meaning everywhere, so what they take is said once, here.
_BY_FLAG = {
    "--attribute": "attributes",
    "--backbone": "backbones",
    "--checkpoint": "checkpoints",
    "--class": "classes",
    "--controls": "controls",
    "--fold": "folds",
    "--gpu": "gpus",
    "--input": "pixels",
    "--launcher": "launchers",
    "--recipes": "recipe_lists",
    "--resume": "resumable",
    "--run": "runs",
    "--set": "settings",  # answered from the table itself
    "--vectors": "vectors",
    "--weights": "weights",
}

_BY_ARGUMENT = {"images": "files"}  # text, because patterns and - are taken too


def generated_files(app: typer.Typer) -> dict[str, str]:
    """Path in the repository -> content, for everything that is made from the app."""
    pages = list(all_pages(get_command(app), "svipctl"))
    found = {f"completions/{name}": shell_scripts.SCRIPTS[shell] for shell, name in shell_scripts.FILES.items()}
    found["svipctl/cli/completion.json"] = json.dumps(completion_table(app), indent=1) + "\n"
    found["docs/cli.md"] = markdown(pages)
    found |= {f"docs/man/{page.path.replace(' ', '-')}.1": man_page(page, pages) for page in pages}
    return found


def completion_table(app: typer.Typer) -> dict[str, Any]:
    """The program as `svipctl.cli.answers` reads it."""
    from svipctl.settings.layers import known_keys

    command = get_command(app)
    context = typer.Context(command, info_name="svipctl", **command.context_settings)
    return {
        "program": _node(command, app, None, context),
        "settings": {key: _choices(field.annotation) for key, field in known_keys()},
    }


def _node(command: Any, app: typer.Typer | None, callback: Callable[..., Any] | None, parent: typer.Context) -> Any:
    context = typer.Context(command, info_name=command.name, parent=parent)
    if callback is None and app is not None and app.registered_callback is not None:
        callback = app.registered_callback.callback
    takes = dict(_taken(callback)) if callback else {}
    node: dict[str, Any] = {"help": _short(command.help), "options": {}, "arguments": []}
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            taken = takes.get(parameter.name) or _BY_ARGUMENT.get(parameter.name)
            node["arguments"].append({"takes": taken, "many": parameter.nargs == -1})
            continue
        for name in sorted((*parameter.opts, *parameter.secondary_opts)):  # those of --help come in any order
            taken = None
            if not (parameter.is_flag or parameter.name == "help"):
                taken = _BY_FLAG.get(name, takes.get(parameter.name))
                taken = taken if taken is not None else []
            node["options"][name] = {"help": _short(parameter.help), "takes": taken}
    if hasattr(command, "commands"):
        below = {name: inner for name, inner in command.commands.items() if not inner.hidden}
        node["commands"] = {name: _node(inner, *_registered(app, name), context) for name, inner in below.items()}
    return node


def _registered(app: typer.Typer | None, name: str) -> tuple[typer.Typer | None, Callable[..., Any] | None]:
    """The app of a group of that name, or the function of a command."""
    if app is None:
        return None, None
    for command in app.registered_commands:
        if (command.name or getattr(command.callback, "__name__", "").replace("_", "-")) == name:
            return None, command.callback
    return next((group.typer_instance for group in app.registered_groups if group.name == name), None), None


def _taken(callback: Callable[..., Any]) -> Iterator[tuple[str, str | list[str] | None]]:
    """Parameter -> name of a function of `complete`, `files`, or the values to choose from."""
    hints = get_type_hints(callback, include_extras=True)
    for name in inspect.signature(callback).parameters:
        hint = hints.get(name)
        described = [part for part in getattr(hint, "__metadata__", ()) if hasattr(part, "autocompletion")]
        function = described[0].autocompletion if described else None
        kind = get_args(hint)[0] if described else hint
        if function is not None and function.__name__ in complete.BY_NAME:
            yield name, function.__name__
        elif Path in _members(kind):
            yield name, "files"
        else:
            yield name, _choices(kind) or None


def _members(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (Union, types.UnionType, list):
        return tuple(member for part in get_args(kind) for member in _members(part))
    return (kind,)


def _choices(kind: Any) -> list[str]:
    found: list[str] = []
    for member in _members(kind):
        if get_origin(member) is Literal:
            found += [str(value) for value in get_args(member)]
        elif isinstance(member, type) and issubclass(member, Enum):
            found += [str(value.value) for value in member]
        elif member is bool:
            found += ["true", "false"]
    return found


def _short(text: str | None) -> str:
    return " ".join(split_help(text or "")[0].partition("\n\n")[0].split())


def markdown(pages: list[Page]) -> str:
    """The reference of all commands."""
    lines = [
        "# Commands",
        "",
        "Made from the program by `make generated`; `svipctl COMMAND --help` shows the same. What each prints with",
        "`--json` is in [json.md](json.md), and the exit codes are in [exit-codes.md](exit-codes.md).",
    ]
    for page in pages:
        lines += ["", f"## {page.path}", "", page.summary, "", f"    {page.usage}"]
        if page.text:
            lines += ["", page.text]
        if page.examples:
            lines += ["", "```console", *(f"$ {example}" for example in page.examples), "```"]
        for section in page.sections:
            rows = [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in section.rows]
            lines += ["", f"| {section.title} | |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" in text else text.replace("|", "\\|")


def man_page(page: Page, pages: list[Page]) -> str:
    """A page in the man format."""
    name = page.path.replace(" ", "-")
    lines = [f'.TH "{name.upper()}" "1" "" "svipctl {__version__}" "svipctl"', ".SH NAME"]
    lines += [f"{_roff(name)} \\- {_roff(page.summary)}", ".SH SYNOPSIS", _roff(page.usage)]
    if page.text:
        lines += [".SH DESCRIPTION", *(f"{_roff(' '.join(part.split()))}\n.PP" for part in page.text.split("\n\n"))]
    for section in page.sections:
        lines.append(f".SH {section.title.upper()}")
        for left, right in section.rows:
            lines += [".TP", f".B {_roff(left)}", _roff(right)]
    if page.examples:
        lines.append(".SH EXAMPLES")
        lines += [f".EX\n{_roff(example)}\n.EE" for example in page.examples]
    related = [other.path.replace(" ", "-") for other in pages if _is_near(page, other)]
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{_roff(other)}\\fR(1)" for other in related)]
    return "\n".join(lines) + "\n"


def _is_near(page: Page, other: Page) -> bool:
    """The page above, and the pages below."""
    return page.path.rpartition(" ")[0] == other.path or other.path.rpartition(" ")[0] == page.path


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
