"""Append and rewrite records as lines of JSON and as CSV, complete or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from svipctl.files import atomic_write_text, read_regular
from svipctl.quoting import spreadsheet_cell
from svipctl.runs.documents import EpochRecord, StepRecord, parse
from svipctl.runs.manifest import MOST_UNLISTED

METRICS, METRICS_TABLE, STEPS = "metrics.jsonl", "metrics.csv", "steps.jsonl"
Record = Mapping[str, Any]


def as_lines(records: Sequence[Record]) -> str:
    """Return records as lines of JSON."""
    return "".join(json.dumps(record) + "\n" for record in records)


def as_table(records: Sequence[Record], columns: Sequence[str] = ()) -> str:
    """Return records as CSV, with the given columns, or else all of them in the order in which they appear.

    Names in them may be anything, so every cell is one that a spreadsheet shows and does not compute.
    """
    columns = columns or list(dict.fromkeys(name for record in records for name in record))
    if not columns:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: spreadsheet_cell(value) for name, value in record.items()} for record in records)
    return text.getvalue()


def accuracy_of(record: Record) -> float | None:
    """Return the accuracy on the training batches in percent: of the contextualized pass, which inference uses.

    Records of release 0.1 have only the accuracy of the source pass, under the name `accuracy`.
    """
    found = record.get("contextualized_accuracy", record.get("accuracy"))
    return None if found is None else float(found)


def append(path: Path, text: str, *, durably: bool = False) -> None:
    """Append text to a file, which is created if needed; `durably` waits until it is on the disk."""
    with path.open("a", newline="", encoding="utf-8") as file:
        file.write(text)
        if durably:
            file.flush()
            os.fsync(file.fileno())


def rewrite(path: Path, text: str) -> None:
    """Replace the text of a file; the old text stays until the new one is on the disk. An empty text removes the
    file.
    """
    if not text:
        path.unlink(missing_ok=True)
        return
    atomic_write_text(path, text)


def whole_records(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of `metrics.jsonl` or `steps.jsonl`, without a last line that a full disk truncated.

    Raises:
        DataError: A line is damaged; names the line and the field.

    """
    if not path.is_symlink() and not path.exists():
        return []
    kind = StepRecord if path.name == STEPS else EpochRecord
    lines = read_regular(path, MOST_UNLISTED).split(b"\n")[:-1]  # text after the last line end was truncated
    todo = "restore the file from a copy, or remove the line"
    return [
        parse(kind, line, path, todo=todo, place=f"line {number}: ").model_dump()
        for number, line in enumerate(lines, 1)
    ]


def epoch_line(record: Record, epochs: int) -> str:
    """Return the line of an epoch: loss terms, accuracies and, if a split is monitored, its metrics."""
    parts = [f"epoch {record['epoch']}/{epochs}", f"loss {record['loss']:.3f}"]
    parts += [f"patch loss {record['patch']:.3f}"] if record["patch"] else []  # 0 without a second pass
    accuracy = accuracy_of(record)
    parts += [] if accuracy is None else [f"train {accuracy:.1f} %"]
    if "monitor" in record:
        figures = " ".join(f"{name} {record[name]:.1f}" for name in ("T1", "U", "S", "H"))
        parts.append(f"{record['monitor']}: {figures} (oracle {record['H_oracle']:.1f})")
    parts.append(f"{record['images_per_second']:.0f} images/s")
    if record.get("parts", 1) > 1:
        parts.append(f"{record['parts']} micro-batches per step")
    return "  ".join(parts)
