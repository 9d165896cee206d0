"""Complete values in shells. Typer keeps those that start with the incomplete word; the shell itself completes paths.

Nothing here imports a heavy library or uses the network. An error, such as an unreadable file, completes nothing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from svipctl.datasets.csv_rows import csv_rows, is_group_row
from svipctl.datasets.names import NAMED, is_dataset
from svipctl.errors import SvipError
from svipctl.settings.flags import RECIPE
from svipctl.text_files import read_lines, read_text

Completion = Callable[[str], list[str]]
_SAFE = re.compile(r"[\w./][\w.,:+@%/=-]*")
"""Words without special meaning in any shell. Typer's scripts do not quote, and zsh evaluates what they print."""


def choices(*values: str) -> Completion:
    """Return the completion of a fixed set of values."""
    return lambda incomplete: list(values)


def comma_separated(*values: str) -> Completion:
    """Return the completion of a list with commas: values that may follow the last comma, none twice."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        return [before + comma + value for value in values if value not in before.split(",")]

    return complete


datasets = choices(*NAMED)


def presets(incomplete: str) -> list[str]:
    """Complete a preset: a data set, a recipe, or both with a comma."""
    dataset, comma, _ = incomplete.partition(",")
    recipes = RECIPE.values
    return [f"{dataset},{name}" for name in recipes] if comma else [*NAMED, "folder", *recipes]


def runs(ctx: typer.Context) -> list[str]:
    """Complete a run of the data set, the newest first, with the data set if several have one of that name."""
    found = _run_folders(ctx)
    often = Counter(run.name for run in found)
    return _safe(run.name if often[run.name] == 1 else f"{run.parent.name}/{run.name}" for run in found)


def resumable(ctx: typer.Context) -> list[str]:
    """Complete `auto` and the unfinished runs of the data set."""
    return _safe(["auto", *(run.name for run in _run_folders(ctx) if not (run / "finished.json").exists())])


def checkpoints(ctx: typer.Context) -> list[str]:
    """Complete the checkpoint folders of the data set's runs."""
    return _safe(f"{path}/" for run in _run_folders(ctx) for path in _folders_in(run / "checkpoints"))


def assignments(incomplete: str) -> list[str]:
    """Complete a setting, and its value if it has choices."""
    from svipctl.settings.keys import known_choices

    key, equals, _ = incomplete.partition("=")
    known = known_choices()
    return [f"{key}={value}" for value in known.get(key, ())] if equals else [f"{name}=" for name in known]


def controls(incomplete: str) -> list[str]:
    """Complete a list of rows of the table of `reproduce`."""
    from svipctl.reproduce.rows import FULL, all_rows

    rows = [*(row.name for row in all_rows() if row.name != FULL), "all"]
    return comma_separated("none", *rows, *(f"{recipe}/{row}" for recipe in RECIPE.values for row in rows))(incomplete)


def classes(ctx: typer.Context) -> list[str]:
    """Complete a class of the data set."""
    return _safe(name for folder in _data_folders(ctx) for name in _class_names(folder))


def attributes(ctx: typer.Context) -> list[str]:
    """Complete an attribute of the data set; SUN's are in a MATLAB file, which takes SciPy to read."""
    return _safe(name for folder in _data_folders(ctx) for name in _attribute_names(folder))


def _safe(values: Iterable[str]) -> list[str]:
    return [value for value in values if _SAFE.fullmatch(value)]


def _named_datasets(ctx: typer.Context) -> list[str]:
    """Return the data sets on the command line, some of whose words may not be parsed yet."""
    words: list[Any] = [*ctx.args]
    for value in ctx.params.values():
        words += value if isinstance(value, list | tuple) else [value]
    return [word for word in words if isinstance(word, str) and (word in NAMED or is_dataset(word))]


def _folder(ctx: typer.Context, name: str) -> Path:
    """Return the folder of a flag, its environment variable, svipctl.toml, or the default."""
    import tomllib

    found = ctx.params.get(name) or os.environ.get(f"SVIPCTL_{name.upper()}")
    if not found:
        with suppress(SvipError, tomllib.TOMLDecodeError, RecursionError):
            found = tomllib.loads(read_text(Path("svipctl.toml"))).get(name)
    return Path(found if isinstance(found, str | Path) else name.removesuffix("_dir")).expanduser()


def _run_folders(ctx: typer.Context) -> list[Path]:
    """Return the runs of the data sets on the command line, or of all if there is none; the newest first."""
    named = {Path(dataset).name for dataset in _named_datasets(ctx)}
    folders = [folder for folder in _folders_in(_folder(ctx, "runs_dir")) if folder.name in named or not named]
    found = [run for folder in folders for run in _folders_in(folder) if (run / "config.toml").is_file()]
    return sorted(found, key=lambda run: (run / "config.toml").stat().st_mtime, reverse=True)


def _folders_in(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("[!.]*") if path.is_dir())


def _data_folders(ctx: typer.Context) -> list[Path]:
    """Return the folder of the first data set on the command line."""
    folders = {name: _folder(ctx, "data_dir") / name for name in NAMED}
    return [folders.get(dataset, Path(dataset)) for dataset in _named_datasets(ctx)][:1]


def _class_names(folder: Path) -> Iterator[str]:
    if (folder / "attributes.csv").is_file():
        rows = csv_rows(folder / "attributes.csv")[1:]
        yield from (row[0] for row in (rows[1:] if rows and is_group_row(rows[0]) else rows))
    else:
        for path in sorted(folder.glob("xlsa17/data/*/allclasses.txt"))[:1]:
            yield from read_text(path).split()


def _attribute_names(folder: Path) -> Iterator[str]:
    if (folder / "attributes.csv").is_file():
        yield from next(iter(csv_rows(folder / "attributes.csv")), [""])[1:]
    else:
        lists = [folder / "attributes.txt", folder / "Animals_with_Attributes2" / "predicates.txt"]
        for path in [path for path in lists if path.is_file()][:1]:
            yield from (line.split(maxsplit=1)[-1] for line in read_lines(path))
