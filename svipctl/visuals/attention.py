"""What each block of the transformer attends to: the class token's attention on the patches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from svipctl.visuals.captions import caption
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, head_height, overlay, wrapped

PER_PAGE = 7
_WIDTH, _GAP, _MOST, _BLOCKS = 7.5, 0.06, 1.2, 6


def attention_sheet(images: Sequence[Inspection], title: str, *, score: str) -> Figure:
    """A row for each image: the class token's attention block by block, and the window score made from all of them.

    Of a deep network, blocks spread evenly from the first to the last are shown.

    Args:
        images: At most `PER_PAGE`.
        title: Of the sheet.
        score: What the last column is called.

    """
    depth = len(images[0].attention)
    blocks = _blocks(depth)
    tiles = len(blocks) + 2
    side = min((_WIDTH - 2 * MARGIN - (tiles - 1) * _GAP) / tiles, _MOST)
    lines = wrapped(
        "The class token's attention on each patch, mean over heads, in the pass over the whole image: grey is low, "
        "bright is high, each map on its own scale. The last column is the score of each window that teaches the patch "
        "classifier.",
        _WIDTH - 2 * MARGIN,
    )
    top, height = head_height(len(lines)) + LINE + 0.08, side + LINE + 0.14
    sheet = Sheet.of(_WIDTH, top + len(images) * height)
    sheet.head(title, lines)
    heads = ["image", *(f"block {block + 1}" for block in blocks), score]
    for place, head in enumerate(heads):
        sheet.text(MARGIN + place * (side + _GAP) + side / 2, top - LINE - 0.02, head, ha="center", room=side + _GAP)
    for number, one in enumerate(images):
        y = top + number * height
        places = [sheet.tile(MARGIN + place * (side + _GAP), y, side) for place in range(tiles)]
        places[0].picture(one.pixels)
        for place, block in enumerate(blocks, 1):
            places[place].picture(overlay(one.pixels, one.attention[block]))
            if one.mask is not None:
                places[place].contour(one.mask, 0.6)
        places[-1].heat(one.scores, float(one.scores.min()), float(one.scores.max()))
        caption(sheet, one, MARGIN, y + side + 0.03, tiles * (side + _GAP) - _GAP)
    return sheet.figure


def _blocks(depth: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, depth - 1, min(depth, _BLOCKS)).round().astype(np.int64))
