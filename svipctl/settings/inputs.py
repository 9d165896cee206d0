"""Inputs that a configuration names: checked before anything heavy is imported, so that a mistake is reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.datasets.names import check_present
from svipctl.files import require_path

if TYPE_CHECKING:
    from svipctl.settings.schema import Settings


def check_inputs(settings: Settings, more: Mapping[str, Path | None] | None = None) -> None:
    """Raise the error of a data set, of weights or of a file that is not there, before anything heavy is imported.

    Args:
        settings: The data set and the weights.
        more: What a file is -> its path.

    """
    check_present(settings.dataset, settings.data_dir)
    weights, begun_with = settings.model.weights, settings.model.init_from
    own_weights = None if weights in ("none", "pretrained") else Path(weights)
    paths = {"weights file": own_weights, "checkpoint": Path(begun_with) if begun_with else None, **(more or {})}
    for what, path in paths.items():
        if path is not None:
            require_path(path, what)
