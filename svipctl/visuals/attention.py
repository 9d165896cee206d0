"""Draw the class token's attention on the patches, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from svipctl.datasets.benchmark import spread
from svipctl.errors import ConfigError
from svipctl.visuals.captions import caption
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.tiles import LINE, MARGIN, Sheet, overlay, tile_side

PER_PAGE = 7
_GAP, _MOST, _BLOCKS = 0.06, 1.2, 6
_SENTENCES = (
    "The class token's attention on each patch, mean over heads, in the pass over the whole image: grey is low, "
    "bright is high, each map on its own scale. The last column is the window score, from which the patch classifier "
    "learns."
)


def attention_sheet(images: Sequence[Inspection], title: str, *, score: str) -> Figure:
    """Draw a row for each image: the class token's attention block by block, and the window score computed from it.

    For a deep network, evenly spaced blocks from the first to the last are shown.

    Args:
        images: At most `PER_PAGE` images.
        title: Title of the sheet.
        score: Heading of the last column.

    Raises:
        ConfigError: The backbone has no blocks.

    """
    depth = len(images[0].attention)
    if not depth:
        raise ConfigError(
            "there is no attention of the class token to show",
            why="the backbone has no blocks",
            todo="show what each attribute attends to with `svipctl visualize attributes`",
        )
    blocks = spread(np.arange(depth), _BLOCKS)
    heads = ["image", *(f"block {block + 1}" for block in blocks), score]
    side = min(tile_side(len(heads), _GAP), _MOST)
    height = side + LINE + 0.14
    sheet, top = Sheet.headed(title, _SENTENCES, LINE + 0.08 + len(images) * height)
    columns = [MARGIN + number * (side + _GAP) for number in range(len(heads))]
    for x, head in zip(columns, heads):
        sheet.text(x + side / 2, top + 0.06, head, ha="center", room=side + _GAP)
    for number, one in enumerate(images):
        y = top + LINE + 0.08 + number * height
        image, *maps, scores = (sheet.tile(x, y, side) for x in columns)
        image.picture(one.pixels)
        for tile, block in zip(maps, blocks):
            tile.picture(overlay(one.pixels, one.attention[block]))
            tile.contour(one.mask, 0.6)
        assert one.scores is not None  # there are blocks
        scores.heat(one.scores)
        caption(sheet, one, MARGIN, y + side + 0.03, columns[-1] + side - MARGIN)
    return sheet.figure
