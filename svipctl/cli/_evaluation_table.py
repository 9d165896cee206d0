"""An evaluation for a person: the row of each protocol, patch selection, localization, the seen-unseen curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink

if TYPE_CHECKING:
    from svipctl.evaluation.protocols import ProtocolResults


_COLUMNS = ["protocol", "T1", "U", "S", "H or area", "gamma", "what it is"]
_WIDE = 110
"""Columns of a terminal with room for the last one."""


def show_evaluation(document: dict[str, Any]) -> None:
    """Print the rows of an evaluation, and what else it measured."""
    from svipctl.evaluation.tables import table

    images = document["images"]
    subject = document["run"] or document.get("predictions") or document["checkpoint"]["file"]
    split = document.get("split", "test")
    counts = f"{images['seen']} seen and {images['unseen']} unseen {split} images"
    title = f"{subject}: {counts}, percent, ± half the 95 % interval"
    shown = len(_COLUMNS) if sink.columns >= _WIDE else -1  # without what each row is
    sink.table(title, _COLUMNS[:shown], [row[:shown] for row in table(document)])
    for line in _remarks(document):
        sink.say(line)


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """Yield what an evaluation found besides the protocols.

    H over images differs from H over classes where classes have unequal numbers of images. The peaks of the attributes'
    maps are shown next to what other places would give.
    """
    from svipctl.evaluation.tables import leak

    if sink.columns < _WIDE and "gzsl-oracle" in document["protocols"]:
        yield "gzsl-oracle, reference: chosen on the scored images, upper bounds"
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


def show_curve(evaluation: ProtocolResults) -> None:
    """Print the seen-unseen curve with its protocols."""
    if "ausuc" in evaluation.rows:
        from svipctl.visuals.text_curve import seen_unseen_curve

        sink.say("\n".join(seen_unseen_curve(evaluation, braille=sink.has_braille)))
