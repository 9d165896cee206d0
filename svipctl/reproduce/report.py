"""The table as files: `reproduction.md`, `.json` and `.csv`, the same for the same runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from svipctl.errors import explained_disk_errors

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
_COMPARED = {
    "zsl.T1": "T1",
    "gzsl-calibrated.H": "H",
    "gzsl-oracle.H": "H oracle",
    "ausuc.value": "AUSUC",
}

Document = Mapping[str, Any]


def write_report(document: Document, folder: Path) -> list[Path]:
    """Write the three files, each whole or not at all.

    Raises:
        ResourceError, ConfigError: They cannot be written.

    """
    texts = {
        "reproduction.md": markdown(document),
        "reproduction.json": json.dumps(document, indent=2) + "\n",
        "reproduction.csv": comma_separated(document),
    }
    written = []
    with explained_disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            unfinished = folder / f".{name}.part"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(folder / name)
            written.append(folder / name)
    return written


def table(document: Document) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the main table, without the columns that no row has."""
    keys = [key for key in _COLUMNS if any(key in row["figures"] for row in document["rows"])]
    heads = ["recipe", "row", "n", *(_COLUMNS[key] for key in keys)]
    cells = [
        [row["recipe"] or "baseline", row["row"], str(row["n"]), *(_cell(row["figures"].get(key)) for key in keys)]
        for row in document["rows"]
    ]
    return heads, cells


def markdown(document: Document) -> str:
    """The report for people."""
    blocks = [
        f"# Reproduction on {document['dataset']}",
        f"Recipes {', '.join(document['recipes'])}; {document['seeds']} seeds a row; gamma from {document['folds']} "
        f"development fold{'s' if document['folds'] > 1 else ''}. Percent; mean ± standard deviation over the n seeds.",
        *(f"> {warning.splitlines()[0]}" for warning in document["warnings"]),
        *([f"> not there yet: {', '.join(document['missing'])}"] if document["missing"] else []),
        _grid(*table(document)),
        "T1: unseen among unseen. U, S, H: gamma from validation (`gzsl-calibrated`), per class. H oracle: gamma from "
        "test, an upper bound. H reference: as published, offset from test, per image. AUC: of the patch classifier, against "
        "the labels it was trained on and against masks or boxes of the object.",
        "## Differences to the full method",
        "Row minus full, seed by seed; mean and 95 % interval of the mean (Student's t), each row for itself. A baseline "
        "has no seed: its one value is compared with each seed of the first recipe.",
        _grid(*_differences(document)),
        *_leak(document),
        *_published(document),
        "## Rows",
        "\n".join(_about(document)),
        *_left_out(document),
        "## How it was made",
        "\n".join(f"- {', '.join(_machine(one))}" for one in document["environment"]) or "Nothing is there yet.",
        "```sh\n" + "\n".join(document["commands"]) + "\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def comma_separated(document: Document) -> str:
    """One line a row and figure: mean, sd, n, and the difference to the full method."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    difference_heads = ["difference", "difference_sd", "difference_n", "low", "high"]
    writer.writerow(["recipe", "row", "figure", "n", "mean", "sd", *difference_heads])
    for row in document["rows"]:
        for name, found in row["figures"].items():
            difference = row["differences"].get(name)
            more: list[Any] = [""] * len(difference_heads)
            if difference:
                low, high = difference["interval"] or ("", "")
                more = [difference["mean"], _or_nothing(difference["sd"]), difference["n"], low, high]
            sd = _or_nothing(found["sd"])
            writer.writerow([row["recipe"] or "baseline", row["row"], name, found["n"], found["mean"], sd, *more])
    return out.getvalue()


def _differences(document: Document) -> tuple[list[str], list[list[str]]]:
    keys = [key for key in _COMPARED if any(key in row["differences"] for row in document["rows"])]
    cells = [
        [row["recipe"] or "baseline", row["row"], *(_difference(row["differences"].get(key)) for key in keys)]
        for row in document["rows"]
        if row["differences"]
    ]
    return ["recipe", "row", *(_COMPARED[key] for key in keys)], cells


def _leak(document: Document) -> Iterator[str]:
    if not document["leak"]:
        return
    yield "## The leak"
    yield (
        "What choosing on the test set gives: the published protocol's H minus `gzsl-calibrated` H, paired over seeds. "
        "The epoch is chosen on test by the published code only, so only recipe `reference` shows that part."
    )
    heads = ["recipe", "offset on test", "offset and epoch on test"]
    cells = [
        [leak["recipe"], _difference(leak.get("offset")), _difference(leak.get("offset_and_epoch"))]
        for leak in document["leak"]
    ]
    yield _grid(heads, cells)


def _published(document: Document) -> Iterator[str]:
    if not document["published"]:
        return
    yield "## Published numbers"
    yield "Ours under the published protocol: recipe `reference`, epoch and offset chosen on test, mean over seeds."
    cells = [
        [one["row"], one["figure"], f"{one['published']:.1f}", f"{one['ours']:.1f}", f"{one['difference']:+.1f}"]
        for one in document["published"]
    ]
    yield _grid(["row", "figure", "published", "ours", "difference"], cells)


def _about(document: Document) -> Iterator[str]:
    seen: dict[str, str] = {}
    for row in document["rows"]:
        seen.setdefault(row["row"], row["about"])
    yield from (f"- `{name}`: {about}" for name, about in seen.items())


def _left_out(document: Document) -> Iterator[str]:
    if document["left_out"]:
        yield "Left out:"
        yield "\n".join(f"- `{name}`: {why}" for name, why in document["left_out"].items())


def _machine(one: Document) -> Iterator[str]:
    yield f"commit {one['git_commit'] or 'unknown'}"
    yield f"Python {one['python']}"
    yield f"torch {one['torch']}"
    yield f"{one['gpu'] or one['device']} ({one['threads']} threads)"
    weights = one["weights"] or {}
    yield f"weights {weights.get('source', 'unknown')} {weights.get('sha256', '')[:12]}".rstrip()


def _cell(found: Document | None) -> str:
    if found is None:
        return ""
    return f"{found['mean']:.1f}" + ("" if found["sd"] is None else f" ± {found['sd']:.1f}")


def _difference(found: Document | None) -> str:
    if found is None:
        return ""
    if found["interval"] is None:
        return f"{found['mean']:+.1f} (n = {found['n']})"
    low, high = found["interval"]
    return f"{found['mean']:+.1f} [{low:+.1f}, {high:+.1f}] (n = {found['n']})"


def _or_nothing(value: float | None) -> float | str:
    return "" if value is None else value


def _grid(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rule, *cells])
