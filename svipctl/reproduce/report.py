"""The table as files: `reproduction.md`, `.json` and `.csv`, the same for the same runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from svipctl.errors import explained_disk_errors
from svipctl.reproduce.rows import FULL

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
            unfinished.write_text(text, encoding="utf-8", errors="surrogateescape")  # commands as they were typed
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
        f"Backbone {document['backbone']}; recipes {', '.join(document['recipes'])}; {document['seeds']} seeds a row; gamma "
        f"from {document['folds']} development fold{'s' if document['folds'] > 1 else ''}. Percent; mean ± standard "
        "deviation over the n seeds.",
        *(f"> {warning.splitlines()[0]}" for warning in document["warnings"]),
        *([f"> not there yet: {', '.join(document['missing'])}"] if document["missing"] else []),
        _grid(*table(document)),
        "T1: unseen among unseen. U, S, H: gamma from validation (`gzsl-calibrated`), per class. H oracle: gamma from "
        "test, an upper bound. H reference: as published, offset from test, per image. AUC: of the patch classifier, against "
        "the labels it was trained on and against masks or boxes of the object.",
        *_over_images(document),
        "## Differences to the full method",
        "Row minus full, seed by seed; mean and 95 % interval of the mean (Student's t), each row for itself: of twenty "
        "such intervals one misses by chance. They hold what differs from seed to seed and nothing else: the test images "
        "are the same, and the seeds of a row share the gamma of its development runs. A baseline has no seed: its one "
        "value is compared with each seed of the first recipe.",
        _grid(*_differences(document)),
        *_leak(document),
        *_published(document),
        "## Rows",
        "\n".join(_about(document)),
        "The method's own settings are those of recipe and preset: nothing of it is searched for here but gamma.",
        *_left_out(document),
        "## How it was made",
        "\n".join(f"- {', '.join(_machine(one))}" for one in document["environment"]) or "Nothing is there yet.",
        *_elsewhere(document),
        f"```sh\n{document['command']}\n```",
        "This is the same as:",
        "```sh\n" + "\n".join(document["commands"]) + "\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def comma_separated(document: Document) -> str:
    """One line a row and figure: mean and sd over seeds, half the interval over images, the difference to full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    difference_heads = ["difference", "difference_sd", "difference_n", "low", "high"]
    writer.writerow(["recipe", "row", "figure", "n", "mean", "sd", "half_width", *difference_heads])
    for row in document["rows"]:
        for name, found in row["figures"].items():
            difference = row["differences"].get(name)
            more: list[Any] = [""] * len(difference_heads)
            if difference:
                low, high = difference["interval"] or ("", "")
                more = [difference["mean"], _or_nothing(difference["sd"]), difference["n"], low, high]
            numbers = [found["n"], found["mean"], _or_nothing(found["sd"]), _or_nothing(found["half_width"])]
            writer.writerow([row["recipe"] or "baseline", row["row"], name, *numbers, *more])
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
        "What choosing on the test set gives: H so chosen minus `gzsl-calibrated` H, paired over seeds. Gamma on test is "
        "`gzsl-oracle`: the same scores and the same average, only gamma has seen the answers, so it is never below 0. "
        "Offset on test is the published protocol (`reference`): it also counts images instead of classes and goes in "
        "steps of 0.01 of a softmax of 5 times the score, so it can be below 0. The epoch is chosen on test by the "
        "published code only, so only recipe `reference` shows that part."
    )
    heads = ["recipe", "gamma on test", "offset on test", "offset and epoch on test"]
    cells = [
        [leak["recipe"], *(_difference(leak.get(name)) for name in ("gamma", "offset", "offset_and_epoch"))]
        for leak in document["leak"]
    ]
    yield _grid(heads, cells)


def _published(document: Document) -> Iterator[str]:
    if not document["published"]:
        return
    yield "## Published numbers"
    yield (
        f"Ours under the published protocol: recipe `reference`, epoch and offset chosen on test, mean over seeds, backbone "
        f"{document['backbone']}. Published: ViT-B/16, no deviation given; the authors' own runs differ by 0.5 to 1.1 in H."
    )
    cells = []
    for one in document["published"]:
        ours, difference = _with_deviation(one["ours"], one["sd"]), f"{one['difference']:+.1f}"
        cells.append([one["row"], one["figure"], f"{one['published']:.1f}", ours, difference, str(one["n"])])
    yield _grid(["row", "figure", "published", "ours", "difference", "n"], cells)


def _over_images(document: Document) -> Iterator[str]:
    counts = [f"{one.get('seen', 0)} seen and {one.get('unseen', 0)} unseen" for one in document["images"]]
    widths = [
        (row["recipe"], [(_COMPARED[key], row["figures"].get(key, {}).get("half_width")) for key in _COMPARED])
        for row in document["rows"]
        if row["row"] == FULL
    ]
    shown = [
        f"{recipe} {', '.join(f'{name} ± {width:.1f}' for name, width in figures if width is not None)}"
        for recipe, figures in widths
        if any(width is not None for _, width in figures)
    ]
    if counts:
        yield f"Scored: {' or '.join(counts)} test images." + (
            " The ± of the table is over seeds, on the same images. Over other images of the same classes a single run of "
            f"the full method would vary by this (half a 95 % bootstrap interval): {'; '.join(shown)}."
            if shown
            else ""
        )


def _about(document: Document) -> Iterator[str]:
    seen: dict[tuple[str, ...], None] = {}
    for row in document["rows"]:
        switches = "" if not row["switches"] else f" (`{'`, `'.join(row['switches'])}`)"
        choice = row["choice"]
        chosen = (
            ", ".join(f"{key} {_plain(value)}" for key, value in choice.items() if key != "tried") if choice else ""
        )
        best = f"; best of {choice['tried']} choices on the folds: {chosen}" if choice else ""
        seen.setdefault((row["row"], row["about"] + switches + best))
    yield from (f"- `{name}`: {about}" for name, about in seen)


def _elsewhere(document: Document) -> Iterator[str]:
    if document["elsewhere"]:
        settings = ", ".join(f"`{setting}`" for setting in document["elsewhere"])
        yield f"Settings that no command here shows, from a file or the environment: {settings}."


def _left_out(document: Document) -> Iterator[str]:
    if document["left_out"]:
        yield "Left out:"
        yield "\n".join(f"- `{name}`: {why}" for name, why in document["left_out"].items())


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


def _cell(found: Document | None) -> str:
    if found is None:
        return ""
    return _with_deviation(found["mean"], found["sd"])


def _with_deviation(mean: float, sd: float | None) -> str:
    return f"{mean:.1f}" + ("" if sd is None else f" ± {sd:.1f}")


def _plain(value: Any) -> str:
    return " ".join(f"{one:g}" for one in value) if isinstance(value, list) else str(value)


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
