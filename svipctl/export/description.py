"""Write and read the description of an exported file."""

from __future__ import annotations

import json
from typing import Any

from svipctl.errors import DataError
from svipctl.export.graph import INPUTS, OUTPUTS, ExportPrecision, Pixels
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.class_table import ClassTable
from svipctl.inference.gamma import Gamma
from svipctl.inference.trained_model import TrainedModel
from svipctl.runs.run import Run
from svipctl.version import __version__

KEY = "svipctl"
"""Key of the file's metadata; its value is the description as one JSON text."""
VERSION = 1
_OF_CHECKPOINT = (
    *("dataset", "recipe", "method", "epoch", "image_size", "resize", "mean", "std", "attributes"),
    *("backbone", "backbone_args", "window", "classifier_hidden"),
)
"""Entries that are those of the checkpoint."""


def describe(
    model: TrainedModel,
    classes: ClassTable,
    gamma: Gamma,
    pixels: Pixels,
    precision: ExportPrecision,
    licence: str | None,
) -> dict[str, Any]:
    """Return everything that a user of the file needs to know, in JSON types."""
    grid, metadata, run = model.network.grid, model.metadata, model.run
    assert run is not None, "only runs are exported"
    pretrained = metadata.backbone_weights.get("source", "none")
    unstated = f"not stated; the terms of {metadata.dataset}" + (
        f" and of the pretrained weights ({pretrained}) apply" if pretrained != "none" else " apply"
    )
    return {
        "format": VERSION,
        "made_by": f"svipctl {__version__}",
        **{name: getattr(metadata, name) for name in _OF_CHECKPOINT},
        "run": run.name,
        "precision": precision,
        "inputs": list(INPUTS),
        "outputs": list(OUTPUTS),
        "pixels": {"kind": pixels.kind, "layout": "RGB, (batch, 3, height, width)", "resize_inside": pixels.resize},
        "windows": [grid.rows // grid.side, grid.columns // grid.side],
        "windows_kept": model.network.keep if model.network.recipe.passes == "both" else grid.windows,
        "classes": list(classes.classes),
        "seen_classes": [name for name, seen in zip(classes.classes, classes.seen) if seen],
        "class_attributes": classes.class_attributes.tolist(),
        "gamma": gamma.value,
        "gamma_origin": gamma.origin,
        "weights": {"checkpoint_sha256": metadata.sha256, "pretrained": metadata.backbone_weights},
        "licence": {"program": "Apache-2.0", "weights": licence or unstated},
        "metrics": _metrics(run, metadata),
    }


def to_text(description: dict[str, Any]) -> str:
    """Return the description as text for a file's metadata."""
    return json.dumps(description, default=str)


def from_text(text: str | None, path: object) -> dict[str, Any]:
    """Return a description from its text.

    Raises:
        DataError: The description is missing, or has another version.

    """
    try:
        found = json.loads(text or "")
        if found["format"] == VERSION:
            return dict(found)
        why = f"its description has format {found['format']}; this program reads {VERSION}"
    except (ValueError, KeyError, TypeError) as error:
        why = f"its description cannot be parsed: {error}"
    raise DataError(f"{path} was not exported by this version of svipctl", why=why)


def _metrics(run: Run, metadata: Metadata) -> dict[str, Any]:
    """Return the evaluation of the run if there is one, else the metrics of its last epoch."""
    evaluation = run.evaluation(metadata.epoch)
    if evaluation is None or not evaluation.protocols:
        return {"of": f"epoch {metadata.epoch}", **metadata.metrics}
    return {"of": f"svipctl eval, {evaluation.split} images", **evaluation.protocols}
