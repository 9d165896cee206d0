"""Print an evaluation: the row of each protocol, patch selection, localization."""

from __future__ import annotations

from typing import Any

from svipctl.cli._output import sink

_COLUMNS = ["protocol", "T1", "U", "S", "H / AUSUC", "gamma", "description"]
_WIDE = 110
"""Columns of a terminal that is wide enough for the last column."""


def show_evaluation(document: dict[str, Any]) -> None:
    """Print the rows of an evaluation, and its other findings."""
    from svipctl.evaluation.tables import remarks, table

    images = document["images"]
    subject = document["run"] or document.get("predictions") or document["checkpoint"]["file"]
    split = document.get("split", "test")
    counts = f"{images['seen']} seen and {images['unseen']} unseen {split} images"
    title = f"{subject}: {counts}, percent, ± half the 95 % interval"
    shown = len(_COLUMNS) if sink.columns >= _WIDE else -1  # without the descriptions of the rows
    sink.table(title, _COLUMNS[:shown], [row[:shown] for row in table(document)])
    if shown < 0 and "gzsl-oracle" in document["protocols"]:
        sink.say("gzsl-oracle and reference choose gamma on the scored images, so they are upper bounds")
    for line in remarks(document):
        sink.say(line)
