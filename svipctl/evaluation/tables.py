"""Format an evaluation: terminal rows, CSV, Markdown, the leak, and notes on selection and localization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from svipctl.evaluation.protocols import about
from svipctl.runs.records import as_table

Document = Mapping[str, Any]
FIGURES = ("T1", "U", "S", "H", "value")
"""Metrics in percent; `value` is an area."""


def leak(document: Document) -> float | None:
    """Return H as published minus H with gamma from validation, in points: the gain from choosing on test."""
    rows = document["protocols"]
    if "reference" not in rows or "gzsl-calibrated" not in rows:
        return None
    return float(rows["reference"]["H"] - rows["gzsl-calibrated"]["H"])


def leak_over_images(document: Document) -> float | None:
    """Return the leak with both H averaged over images, as the row `reference` is."""
    row = document["per_image"].get("gzsl-calibrated", {})
    return float(document["protocols"]["reference"]["H"] - row["H"]) if "H" in row else None


def comma_separated(document: Document) -> str:
    """Return one line per row and average, with half the 95 % interval of each metric if there is one."""
    columns = ["protocol", "average", *FIGURES, *(f"{figure}_half" for figure in FIGURES), "gamma", "offset"]
    lines = []
    for row, average, figures, half in _rows(document):
        halves = {f"{figure}_half": value for figure, value in half.items()}
        lines.append({"protocol": row, "average": average, **figures, **halves})
    return as_table(lines, columns)


def markdown(document: Document) -> str:
    """Return a Markdown table with one decimal, and the gain from choosing on test."""
    split = document.get("split", "test")
    lines = ["| protocol | average | T1 | U | S | H / AUSUC | description |", "|---|---|---:|---:|---:|---:|---|"]
    for row, average, figures, half in _rows(document):
        lines.append(f"| `{row}` | {average} | {' | '.join(_cells(figures, half))} | {about(row, split)} |")
    found = leak(document)
    if found is not None:
        lines += ["", f"The leak, H of `reference` minus H of `gzsl-calibrated`: {found:+.1f}."]
    return "\n".join(lines) + "\n"


def table(document: Document) -> list[list[str]]:
    """Return name, T1, U, S, H / AUSUC, gamma, and description of each protocol."""
    split = document.get("split", "test")
    return [
        [row, *_cells(figures, half), f"{figures['gamma']:.4f}" if "gamma" in figures else "", about(row, split)]
        for row, _, figures, half in _protocols(document)
    ]


def remarks(document: Document) -> Iterator[str]:
    """Yield the findings of an evaluation apart from the protocols.

    H over images differs from H over classes if classes have unequal numbers of images. Attribute localization
    is shown next to the values of other peaks.
    """
    if "gamma_origin" in document:
        yield f"gamma used by predict, export and visualize: {document['gamma']:.4f}, {document['gamma_origin']}"
    per_image = document["per_image"]
    figures = [f"{row} {per_image[row]['H']:.1f}" for row in document["protocols"] if "H" in per_image.get(row, {})]
    if figures:
        yield f"H from accuracies over images instead of classes: {', '.join(figures)}"
    difference = leak(document)
    if difference is not None:
        over_images = leak_over_images(document)
        both = "" if over_images is None else f" ({over_images:+.1f} with both averaged over images)"
        yield f"leak (gain from choosing on test), H of reference minus H of gzsl-calibrated: {difference:+.1f}{both}"
    own = document.get("selection", {})
    truths = {
        "its pseudo-labels": own,
        "ground-truth masks": own.get("mask", {}),
        "ground-truth boxes": own.get("box", {}),
    }
    for name, found in truths.items():
        if "auc" in found:
            recall = f", recall of unrelated windows {found['recall']:.1f}" if "recall" in found else ""
            yield f"patch classifier against {name}: AUC {found['auc']:.1f}{recall}"
    chance = "random {uniform:.1f}, centre prior {centre:.1f}, shuffled {shuffled:.1f}"
    localized = document.get("localisation", {})
    if found := localized.get("object"):
        yield (
            f"attribute localization: {found['inside']:.1f} % of peaks inside the {found['truth']} "
            f"({chance.format(**found)})"
        )
    if found := localized.get("parts"):
        yield (
            f"distance of peaks to the part: {found['distance']:.1f} % of the bird's diagonal "
            f"({chance.format(**found)})"
        )


def _rows(document: Document) -> Iterator[tuple[str, str, Mapping[str, float], Mapping[str, float]]]:
    """Yield each row with its average, its metrics, and half of their intervals."""
    yield from _protocols(document)
    for row, figures in document["per_image"].items():
        yield row, "images", figures, {}


def _protocols(document: Document) -> Iterator[tuple[str, str, Mapping[str, float], Mapping[str, float]]]:
    for row, figures in document["protocols"].items():
        bounds = document["intervals"].get(row, {})
        half = {name: (high - low) / 2 for name, (low, high) in bounds.items()}
        yield row, "images" if row == "reference" else "classes", figures, half


def _cells(figures: Mapping[str, float], half: Mapping[str, float]) -> list[str]:
    """Return T1, U, S, and H or an area with one decimal; empty if missing."""

    def cell(name: str) -> str:
        if name not in figures:
            return ""
        return f"{figures[name]:.1f}" + (f" ±{half[name]:.1f}" if name in half else "")

    return [*(cell(name) for name in ("T1", "U", "S")), cell("H") or cell("value")]
