"""Trace the graph with free batch size, number of classes and, if it resizes, image size."""

from __future__ import annotations

import torch
from torch.export import Dim, ExportedProgram

from svipctl.export.graph import INPUTS, ExportGraph

_MOST = 2**16


def traced(graph: ExportGraph, classes: int) -> ExportedProgram:
    """Return the graph as torch.export traces it.

    Args:
        graph: Graph in evaluation mode.
        classes: Rows of the table that it is traced with; other numbers work too.

    """
    batch, rows = Dim("batch", min=1, max=_MOST), Dim("classes", min=1, max=_MOST)
    height, width = Dim("height", min=1, max=_MOST), Dim("width", min=1, max=_MOST)
    # Sizes of 1 or of the network's own would become constants.
    sides = (graph.size + 5, graph.size + 9) if graph.pixels.resize else (graph.size, graph.size)
    images = torch.zeros(2, 3, *sides, dtype=graph.pixels.dtype)
    attributes = graph.model.attribute_head.out_features
    rows_traced = max(classes, 2)
    free = {0: batch, 2: height, 3: width} if graph.pixels.resize else {0: batch}
    with torch.no_grad():
        return torch.export.export(
            graph.eval(),
            (images, torch.ones(rows_traced, attributes), torch.zeros(rows_traced)),
            dynamic_shapes=dict(zip(INPUTS, (free, {0: rows}, {0: rows}))),
        )
