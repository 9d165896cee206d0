"""Export to one .pt2 file that `torch.export.load` runs without svipctl."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from svipctl.export.description import KEY, to_text
from svipctl.export.graph import ExportGraph
from svipctl.export.program import traced
from svipctl.export.runner import Outputs


def write_torch(graph: ExportGraph, description: dict[str, Any], classes: int, path: Path) -> None:
    """Write a graph; the description is the file's extra file `KEY`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the serialiser about its internals
        torch.export.save(traced(graph, classes), path, extra_files={KEY: to_text(description)})


class TorchRunner:
    """An exported file in torch, on the CPU."""

    def __init__(self, path: Path) -> None:
        self.module = torch.export.load(path).module()
        self.runtime = f"torch.export.load, torch {torch.__version__}"

    def __call__(self, images: np.ndarray, class_attributes: np.ndarray, gamma: np.ndarray) -> Outputs:
        """Run the graph on arrays."""
        with torch.no_grad():
            given = (torch.from_numpy(array) for array in (images, class_attributes, gamma))
            return Outputs(*(output.numpy() for output in self.module(*given)))
