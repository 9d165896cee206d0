"""Write the table as files: `reproduction.md`, `.json` and `.csv`, the same for the same runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from svipctl.errors import explained_disk_errors
from svipctl.files import atomic_write_bytes
from svipctl.reproduce.rows import FULL
from svipctl.runs.records import as_table
from svipctl.templates import template_environment

_COLUMNS = {
    "zsl.T1": "T1",
    "gzsl.H": "H, no gamma",
    "gzsl-calibrated.U": "U",
    "gzsl-calibrated.S": "S",
    "gzsl-calibrated.H": "H",
    "gzsl-oracle.H": "H oracle",
    "reference.H": "H reference",
    "ausuc.value": "AUSUC",
    "selection.auc": "AUC labels",
    "selection.mask.auc": "AUC masks",
    "selection.box.auc": "AUC boxes",
}
_COMPARED = ("zsl.T1", "gzsl-calibrated.H", "gzsl-oracle.H", "ausuc.value")

Document = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]
"""Column heads, and the cells of each line."""


def write_report(document: Document, folder: Path) -> list[Path]:
    """Write the three files, each complete or not at all, and return their paths.

    Raises:
        ResourceError, ConfigError: A file cannot be written.

    """
    texts = {
        "reproduction.md": markdown(document),
        "reproduction.json": json.dumps(document, indent=2) + "\n",
        "reproduction.csv": comma_separated(document),
    }
    with explained_disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            atomic_write_bytes(folder / name, text.encode(errors="surrogateescape"))  # commands as they were typed
    return [folder / name for name in texts]


def main_table(document: Document) -> Table:
    """Return mean and deviation of each row, without columns that no row has."""
    return _table(document, tuple(_COLUMNS), "figures", with_deviation, "n")


def markdown(document: Document) -> str:
    """Return the report in Markdown."""
    environment = template_environment("svipctl.reproduce", with_deviation=with_deviation, with_interval=_with_interval)
    contents = {
        **document,
        "main_table": main_table(document),
        "differences": _table(document, _COMPARED, "differences", _with_interval),
        "over_images": _over_images(document),
        "images": [f"{one.get('seen', 0)} seen and {one.get('unseen', 0)} unseen" for one in document["images"]],
        "half_widths": list(_half_widths(document)),
        "row_descriptions": list(dict.fromkeys(_description(row) for row in document["rows"])),
        "machines": [", ".join(_machine(one)) for one in document["environment"]],
    }
    return environment.get_template("reproduction.md.jinja").render(contents)


def comma_separated(document: Document) -> str:
    """Return one line per row and metric: mean and sd over seeds, half the interval over images, the difference to
    full.
    """
    names = ["recipe", "row", "figure", "n", "mean", "sd", "half_width"]
    names += ["difference", "difference_sd", "difference_n", "low", "high", "low_images", "high_images"]
    lines = []
    for row in document["rows"]:
        for figure, found in row["figures"].items():
            line = {"recipe": row["recipe"] or "baseline", "row": row["row"], "figure": figure, **found}
            if difference := row["differences"].get(figure):
                line |= {f"difference_{name}": difference[name] for name in ("sd", "n")}
                line |= {"difference": difference["mean"]}
                line |= zip(("low", "high"), difference["interval"] or ())
                line |= zip(("low_images", "high_images"), difference["interval_images"] or ())
            lines.append(line)
    return as_table(lines, names)


def with_deviation(found: Document | None) -> str:
    """Return `mean ± sd` of a metric, only the mean of a single number, and "" for no number."""
    if found is None:
        return ""
    return f"{found['mean']:.1f}" + ("" if found["sd"] is None else f" ± {found['sd']:.1f}")


def _with_interval(found: Document | None) -> str:
    if found is None:
        return ""
    interval = "" if found["interval"] is None else " [{:+.1f}, {:+.1f}]".format(*found["interval"])
    return f"{found['mean']:+.1f}{interval} (n = {found['n']})"


def _over_images(document: Document) -> Table | None:
    """Return the differences with their intervals over seeds and test images; None if no row has them."""

    def cell(found: Document | None) -> str:
        return "" if found is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(found["mean"], *found["interval_images"])

    rows = []
    for row in document["rows"]:
        known = {name: found for name, found in row["differences"].items() if found["interval_images"]}
        rows.append({**row, "differences": known})
    return _table({"rows": rows}, _COMPARED, "differences", cell) if any(row["differences"] for row in rows) else None


def _table(document: Document, figures: tuple[str, ...], part: str, cell: Any, *more: str) -> Table:
    """Return the metrics that a row has in this part of its document, without empty lines and columns."""
    rows = [row for row in document["rows"] if row[part] or part == "figures"]
    shown = [figure for figure in figures if any(figure in row[part] for row in rows)]
    return ["recipe", "row", *more, *(_COLUMNS[figure] for figure in shown)], [
        [row["recipe"] or "baseline", row["row"], *(str(row[key]) for key in more)]
        + [cell(row[part].get(figure)) for figure in shown]
        for row in rows
    ]


def _half_widths(document: Document) -> Iterator[str]:
    """Yield the spread over images of each recipe's full method."""
    for row in document["rows"]:
        figures = {_COLUMNS[key]: row["figures"].get(key, {}).get("half_width") for key in _COMPARED}
        shown = [f"{name} ± {width:.1f}" for name, width in figures.items() if width is not None]
        if shown and row["row"] == FULL:
            yield f"{row['recipe']} {', '.join(shown)}"


def _description(row: Document) -> str:
    switches = f" (`{'`, `'.join(row['switches'])}`)" if row["switches"] else ""
    choice = dict(row["choice"] or {})
    tried = f"; best of {choice.pop('tried')} choices on the folds: " if choice else ""
    chosen = ", ".join(f"{key} {_plain(value)}" for key, value in choice.items())
    return f"`{row['row']}`: {row['about']}{switches}{tried}{chosen}"


def _machine(one: Document) -> Iterator[str]:
    yield f"{len(one['runs'])} run{'s' if len(one['runs']) > 1 else ''}: commit {one['git_commit'] or 'unknown'}"
    if one["source_sha256"]:
        yield f"code {one['source_sha256'][:12]}"
    yield f"Python {one['python']}"
    for name in ("svipctl", "torch", "timm", "numpy"):
        if one["packages"].get(name):
            yield f"{name} {one['packages'][name]}"
    yield f"{one['gpu'] or one['processor'] or one['device']} ({one['threads']} threads)"
    if one["precision"]:
        yield str(one["precision"])
    weights = one["weights"] or {}
    yield f"weights {weights.get('source', 'unknown')} {weights.get('sha256', '')}".rstrip()


def _plain(value: Any) -> str:
    return " ".join(f"{one:g}" for one in value) if isinstance(value, list) else str(value)
