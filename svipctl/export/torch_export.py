"""Trace the graph, and export it to one .pt2 file that `torch.export.load` runs without svipctl."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from svipctl.export.description import KEY, to_text
from svipctl.export.graph import INPUTS, ExportGraph
from svipctl.export.runner import Runner

_MOST = 2**16


def traced(graph: ExportGraph) -> ExportedProgram:
    """Return a graph as torch.export traces it, with free batch size, classes and, if it resizes, image size."""
    batch, rows = Dim("batch", min=1, max=_MOST), Dim("classes", min=1, max=_MOST)
    height, width = Dim("height", min=1, max=_MOST), Dim("width", min=1, max=_MOST)
    # Sizes of 1 or of the network's own would become constants; any other would do.
    sides = (graph.size + 5, graph.size + 9) if graph.pixels.resize else (graph.size, graph.size)
    images = torch.zeros(2, 3, *sides, dtype=graph.pixels.dtype)
    attributes = graph.model.attribute_head.out_features
    free = {0: batch, 2: height, 3: width} if graph.pixels.resize else {0: batch}
    with torch.no_grad():
        return torch.export.export(
            graph.eval(),
            (images, torch.ones(3, attributes), torch.zeros(3)),
            dynamic_shapes=dict(zip(INPUTS, (free, {0: rows}, {0: rows}))),
        )


def write_torch(graph: ExportGraph, description: dict[str, Any], path: Path) -> None:
    """Write a graph; the description is the file's extra file `KEY`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the serialiser about its internals
        torch.export.save(traced(graph), path, extra_files={KEY: to_text(description)})


def open_torch(path: Path) -> Runner:
    """Return the file in torch, on the CPU."""
    return Runner.of_module("torch.export.load", torch.export.load(path).module())
