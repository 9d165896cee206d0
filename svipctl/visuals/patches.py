"""Draw the related windows with the scores that trained the selection and the ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from svipctl.visuals.captions import status_line
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.style import RELATED
from svipctl.visuals.text import text_width
from svipctl.visuals.tiles import LINE, MARGIN, WIDTH, Sheet, faded, scale, tile_side

PER_PAGE = 16
_ACROSS, _GAP = 2, 0.06
_FEWEST = 3
"""Tiles that a card has room for at least, so that its text has some too."""
SCORES = {
    "rollout": "rollout",
    "paper-rollout": "rollout",
    "attention": "attention",
    "cosine": "similarity",
}
"""Short name of the score of the source pass, by the recipe's `score_source`."""


def patch_sheet(
    images: Sequence[Inspection], title: str, *, score_source: str, evaluated: Mapping[str, float] | None = None
) -> Figure:
    """Draw a card for each image: related windows, the classifier's probability, the source pass's score, the ground
    truth.

    Args:
        images: At most `PER_PAGE` images.
        title: Title of the sheet.
        score_source: `score_source` of the recipe, which ranks windows in the source pass.
        evaluated: `auc` and `images` of `svipctl eval`, written next to the AUC of the images shown.

    """
    truth = next((one.truth for one in images if one.truth is not None), None)
    selects, score = images[0].kept is not None, SCORES[score_source]
    heads = ["selected", "classifier"] if selects else ["image"]
    heads += [] if images[0].scores is None else [score]
    heads += [] if truth is None else [f"true {truth}"]
    card = tile_side(_ACROSS, 2 * MARGIN)
    side = tile_side(max(len(heads), _FEWEST), _GAP, card)
    height = side + 2 * LINE + 0.1
    body = 2 * LINE + math.ceil(len(images) / _ACROSS) * height + 0.08
    sheet, top = Sheet.headed(title, _sentences(images, truth, evaluated or {}), body)
    lefts = [MARGIN + column * (card + 2 * MARGIN) for column in range(_ACROSS)]
    for left in lefts[: len(images)]:
        for number, head in enumerate(heads):
            x = left + number * (side + _GAP) + side / 2
            sheet.text(x, top + LINE - 0.02, head, ha="center", room=side + _GAP)
    if selects:
        words = (
            f"Selected: the related windows. Classifier: probability of being related. {score.capitalize()}: lowest to "
            "highest window."
        )
        sheet.text(MARGIN, top - 0.08, words, muted=True)
    if selects or images[0].scores is not None:
        scale(sheet, WIDTH - MARGIN, top - 0.08, "unrelated", "related")
    for number, one in enumerate(images):
        row, column = divmod(number, _ACROSS)
        _draw_card(sheet, one, lefts[column], top + 2 * LINE + row * height, side, len(heads))
    return sheet.figure


def _draw_card(sheet: Sheet, one: Inspection, left: float, top: float, side: float, tiles: int) -> None:
    places = (sheet.tile(left + number * (side + _GAP), top, side) for number in range(tiles))
    image = next(places)
    image.picture(faded(one.pixels, one.kept))
    if one.kept is not None:
        image.outline(one.kept, RELATED)
    if one.related is not None:
        next(places).heat(one.related, (0.0, 1.0))
    if one.scores is not None:
        next(places).heat(one.scores)
    if one.mask is not None:
        truth = next(places)
        truth.picture(faded(one.pixels, one.mask))
        truth.contour(one.mask)
    room, below = max(tiles, _FEWEST) * (side + _GAP), top + side + 0.04
    auc = "" if one.auc is None else f"AUC {one.auc:.0f} · "
    sheet.text(left, below, one.label, room=room)
    sheet.text(left, below + LINE, auc + status_line(one, room - text_width(auc)), muted=True)


def _sentences(images: Sequence[Inspection], truth: str | None, evaluated: Mapping[str, float]) -> str:
    if images[0].kept is None:
        return "This recipe has no second pass: no window is selected, and the patch classifier was not trained."
    known = [one.auc for one in images if one.auc is not None]
    if not known:
        return "There are no masks or boxes of the object for these images."
    against = {"mask": "masks", "box": "boxes"}[str(truth)]
    shown = f"AUC against ground-truth {against}: {np.mean(known):.1f} over the {len(known)} images here"
    if evaluated:
        return f"{shown}; {evaluated['auc']:.1f} over all {evaluated['images']:.0f} (svipctl eval)."
    return f"{shown} (chance 50)."
