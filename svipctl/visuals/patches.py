"""Which windows the model takes for related to the object, beside what taught it and what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from svipctl.visuals.captions import remark
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import RELATED
from svipctl.visuals.tiles import (
    LINE,
    MARGIN,
    Sheet,
    faded,
    head_height,
    scale,
    text_width,
    wrapped,
)

PER_PAGE = 16
_ACROSS, _WIDTH, _GAP = 2, 7.5, 0.06
SCORES = {
    "rollout": "rollout",
    "paper-rollout": "rollout",
    "attention": "attention",
    "cosine": "similarity",
}
"""What the score of the source pass is called, by the recipe's `score_source`."""


def patch_sheet(
    images: Sequence[Inspection], title: str, *, score_source: str, evaluated: Mapping[str, float] | None = None
) -> Figure:
    """A card for each image: the windows kept, the classifier's probability, the source pass's score, and the truth.

    Args:
        images: At most `PER_PAGE`.
        title: Of the sheet.
        score_source: The recipe's, what ranks windows in the source pass.
        evaluated: `auc` and `images` of `svipctl eval`, to be said beside the AUC of the images shown.

    """
    lines = wrapped(_words(images, evaluated or {}), _WIDTH - 2 * MARGIN)
    tiles = 4 if any(one.mask is not None for one in images) else 3
    selects = images[0].kept is not None
    card = (_WIDTH - 2 * MARGIN - (_ACROSS - 1) * 2 * MARGIN) / _ACROSS
    side = (card - (tiles - 1) * _GAP) / tiles
    top, height = head_height(len(lines)) + 2 * LINE, side + 2 * LINE + 0.1
    rows = -(-len(images) // _ACROSS)
    sheet = Sheet.of(_WIDTH, top + rows * height + 0.08)
    sheet.head(title, lines)
    truth = f"true {_truth(images)}"
    names = ["windows kept" if selects else "image", "classifier" if selects else "", SCORES[score_source], truth]
    for column in range(min(_ACROSS, len(images))):
        left = MARGIN + column * (card + 2 * MARGIN)
        for number, name in enumerate(names[:tiles]):
            x = left + number * (side + _GAP) + side / 2
            sheet.text(x, top - LINE - 0.02, name, ha="center", room=side + _GAP)
    if selects:
        words = f"Classifier: its probability. {SCORES[score_source].capitalize()}: lowest to highest window."
        sheet.text(MARGIN, top - 2 * LINE - 0.08, words, muted=True)
    scale(sheet, _WIDTH - MARGIN, top - 2 * LINE - 0.08, "unrelated", "related")
    for number, one in enumerate(images):
        left = MARGIN + (number % _ACROSS) * (card + 2 * MARGIN)
        _card(sheet, one, left, top + (number // _ACROSS) * height, side, tiles)
    return sheet.figure


def _card(sheet: Sheet, one: Inspection, left: float, top: float, side: float, tiles: int) -> None:
    paper = matplotlib.rcParams["figure.facecolor"]
    places = [sheet.tile(left + number * (side + _GAP), top, side) for number in range(tiles)]
    places[0].picture(one.pixels if one.kept is None else faded(one.pixels, one.kept, paper))
    if one.kept is not None:
        places[0].outline(one.kept, RELATED)
    if one.related is not None:
        places[1].heat(one.related, 0.0, 1.0)
    places[2].heat(one.scores, float(one.scores.min()), float(one.scores.max()))
    if one.shares is not None and one.mask is not None:
        places[3].picture(faded(one.pixels, one.mask, paper))
        places[3].contour(one.mask)
    room, below = tiles * (side + _GAP), top + side + 0.04
    auc = "" if one.auc is None else f"AUC {one.auc:.0f} · "
    sheet.text(left, below, one.true_class or one.name, room=room)
    sheet.text(left, below + LINE, auc + remark(one, room - text_width(auc)), muted=True)


def _truth(images: Sequence[Inspection]) -> str | None:
    return next((one.truth for one in images if one.truth is not None), None)


def _words(images: Sequence[Inspection], evaluated: Mapping[str, float]) -> str:
    if images[0].kept is None:
        return "This recipe has no second pass: no window is selected, and the patch classifier was not trained."
    known = [one.auc for one in images if one.auc is not None]
    if not known:
        return "No mask or box says where the object is."
    against = {"mask": "masks", "box": "boxes"}[str(_truth(images))]
    shown = f"Classifier's AUC against the true {against}: {np.mean(known):.1f} over the {len(known)} images here"
    if evaluated:
        return f"{shown}; {evaluated['auc']:.1f} over all {evaluated['images']:.0f} (svipctl eval)."
    return f"{shown} (chance 50)."
