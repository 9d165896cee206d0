"""An evaluation for a person: the row of each protocol, what was selected and localised, the seen-unseen curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from svipctl.cli.output import sink

if TYPE_CHECKING:
    from svipctl.evaluation.protocols import ProtocolResults


def show_evaluation(document: dict[str, Any]) -> None:
    """The rows of an evaluation for a person."""
    from svipctl.evaluation.tables import table

    images = document["images"]
    subject = document["run"] or document.get("predictions") or document["checkpoint"]["file"]
    split = document.get("split", "test")
    counts = f"{images['seen']} seen and {images['unseen']} unseen {split} images"
    title = f"{subject}: {counts}, percent, ± half the 95 % interval"
    sink.table(title, ["protocol", "T1", "U", "S", "H or area", "what it is"], table(document))
    for line in _averages(document):
        sink.say(line)
    selection = document.get("selection", {})
    for name, quality in (
        ("its own labels", selection),
        ("the true masks", selection.get("mask", {})),
        ("the boxes", selection.get("box", {})),
    ):
        if "auc" in quality:
            sink.say(
                f"patch selection against {name}: AUC {quality['auc']:.1f}, recall {quality.get('recall', 100):.1f}"
            )
    for line in _localised(document.get("localisation", {})):
        sink.say(line)


def _averages(document: dict[str, Any]) -> Iterator[str]:
    """H over images beside H over classes, which differ where classes have different numbers of images; and the leak."""
    from svipctl.evaluation.tables import leak

    rows, per_image = document["protocols"], document["per_image"]
    figures = [f"{row} {per_image[row]['H']:.1f}" for row in rows if "H" in per_image.get(row, {})]
    if figures:
        yield f"H over images instead of classes: {', '.join(figures)}"
    found = leak(document)
    if found is not None:
        yield f"the leak, H of reference minus H of gzsl-calibrated: {found:+.1f}"


def _localised(found: dict[str, Any]) -> Iterator[str]:
    """Where the maps of the attributes are highest, beside what any other place would give."""
    chance = "{uniform:.1f} for any window, {centre:.1f} for the centre, {shuffled:.1f} for another image's peak"
    if "object" in found:
        figures = found["object"]
        yield f"peaks of part attributes inside the {figures['truth']}: {figures['inside']:.1f} % ({chance.format(**figures)})"
    if "parts" in found:
        figures = found["parts"]
        yield (
            f"their distance to the part: {figures['distance']:.1f} % of the bird's diagonal ({chance.format(**figures)})"
        )


def show_curve(evaluation: ProtocolResults) -> None:
    """The seen-unseen curve with its protocols, on a terminal only: scripts get the table as ever."""
    if "ausuc" not in evaluation.rows or not sink.draws_on_stdout:
        return
    from svipctl.cli.plot import curve, framed

    braille = sink.has_braille
    points = list(zip((100 * evaluation.curve.unseen).tolist(), (100 * evaluation.curve.seen).tolist()))
    marks = {
        row: mark
        for row, mark in (("gzsl", "o"), ("gzsl-oracle", "x"), ("gzsl-calibrated", "@"))
        if row in evaluation.rows
    }
    places = [((100 * evaluation.rows[row]["U"], 100 * evaluation.rows[row]["S"]), mark) for row, mark in marks.items()]
    lines = framed(
        curve(points, places, columns=44, rows=10, braille=braille), x="unseen, U", y="seen, S", braille=braille
    )
    sink.say("\n".join(lines))
    sink.say("     " + "  ".join(f"{mark} {row}" for row, mark in marks.items()))
