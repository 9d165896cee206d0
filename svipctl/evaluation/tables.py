"""The rows of an evaluation as text for others: CSV and Markdown, averaged over classes and over images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from svipctl.evaluation.protocols import about

Document = Mapping[str, Any]
FIGURES = ("T1", "U", "S", "H", "value")
"""Percent; `value` is an area."""


def leak(document: Document) -> float | None:
    """H as published minus H with gamma from validation, percentage points: what choosing on test gives (protocols)."""
    rows = document["protocols"]
    if "reference" not in rows or "gzsl-calibrated" not in rows:
        return None
    return float(rows["reference"]["H"] - rows["gzsl-calibrated"]["H"])


def comma_separated(document: Document) -> str:
    """One line a row and average, with half the 95 % interval of each figure where there is one."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    halves = [f"{figure}_half" for figure in FIGURES]
    writer.writerow(["protocol", "average", *FIGURES, *halves, "gamma", "offset"])
    for row, average, figures, half in _rows(document):
        cells = [[values.get(name, "") for name in FIGURES] for values in (figures, half)]
        writer.writerow([row, average, *cells[0], *cells[1], figures.get("gamma", ""), figures.get("offset", "")])
    return out.getvalue()


def markdown(document: Document) -> str:
    """A table, one decimal, and what choosing on test gives."""
    split = document.get("split", "test")
    lines = ["| protocol | average | T1 | U | S | H or area | what it is |", "|---|---|---:|---:|---:|---:|---|"]
    for row, average, figures, half in _rows(document):
        lines.append(f"| `{row}` | {average} | {' | '.join(_cells(figures, half))} | {about(row, split)} |")
    found = leak(document)
    if found is not None:
        lines += ["", f"The leak, H of `reference` minus H of `gzsl-calibrated`: {found:+.1f}."]
    return "\n".join(lines) + "\n"


def table(document: Document) -> list[list[str]]:
    """Return of each protocol its name, T1, U, S, H or area, gamma, and what it is."""
    split = document.get("split", "test")
    return [
        [row, *_cells(figures, half), f"{figures['gamma']:.4f}" if "gamma" in figures else "", about(row, split)]
        for row, _, figures, half in _protocols(document)
    ]


def remarks(document: Document) -> Iterator[str]:
    """Yield what an evaluation found besides the protocols.

    H over images differs from H over classes where classes have unequal numbers of images. The peaks of the attributes'
    maps are shown next to what other places would give.
    """
    if "gamma_origin" in document:
        yield f"gamma of predictions and figures: {document['gamma']:.4f}, {document['gamma_origin']}"
    per_image = document["per_image"]
    figures = [f"{row} {per_image[row]['H']:.1f}" for row in document["protocols"] if "H" in per_image.get(row, {})]
    if figures:
        yield f"H over images instead of classes: {', '.join(figures)}"
    difference = leak(document)
    if difference is not None:
        yield f"the leak, H of reference minus H of gzsl-calibrated: {difference:+.1f}"
    own = document.get("selection", {})
    truths = {"its own labels": own, "the true masks": own.get("mask", {}), "the boxes": own.get("box", {})}
    for name, found in truths.items():
        if "auc" in found:
            yield f"patch selection against {name}: AUC {found['auc']:.1f}, recall {found.get('recall', 100):.1f}"
    chance = "{uniform:.1f} for any window, {centre:.1f} for the centre, {shuffled:.1f} for another image's peak"
    localized = document.get("localisation", {})
    if found := localized.get("object"):
        yield f"peaks of part attributes inside the {found['truth']}: {found['inside']:.1f} % ({chance.format(**found)})"
    if found := localized.get("parts"):
        yield f"their distance to the part: {found['distance']:.1f} % of the bird's diagonal ({chance.format(**found)})"


def _rows(document: Document) -> Iterator[tuple[str, str, Mapping[str, float], Mapping[str, float]]]:
    """Row, what it is averaged over, its figures, and half of their intervals."""
    yield from _protocols(document)
    for row, figures in document["per_image"].items():
        yield row, "images", figures, {}


def _protocols(document: Document) -> Iterator[tuple[str, str, Mapping[str, float], Mapping[str, float]]]:
    for row, figures in document["protocols"].items():
        bounds = document["intervals"].get(row, {})
        half = {name: (high - low) / 2 for name, (low, high) in bounds.items()}
        yield row, "images" if row == "reference" else "classes", figures, half


def _cells(figures: Mapping[str, float], half: Mapping[str, float]) -> list[str]:
    """T1, U, S, and H or an area, one decimal; empty where there is none."""

    def cell(name: str) -> str:
        if name not in figures:
            return ""
        return f"{figures[name]:.1f}" + (f" ±{half[name]:.1f}" if name in half else "")

    return [*(cell(name) for name in ("T1", "U", "S")), cell("H") or cell("value")]
