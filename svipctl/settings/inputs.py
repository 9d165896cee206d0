"""Check the inputs that a configuration names before anything heavy is imported, so that mistakes are reported at
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.datasets.names import check_present
from svipctl.files import require_path

if TYPE_CHECKING:
    from svipctl.settings.schema import Settings


def check_inputs(settings: Settings, more: Mapping[str, Path | None] | None = None) -> None:
    """Raise the error of a missing data set, file of weights or other input, before anything heavy is imported.

    Args:
        settings: The data set and the weights.
        more: Description of a file -> its path.

    """
    check_present(settings.dataset, settings.data_dir)
    weights, begun_with, features = settings.model.weights, settings.model.init_from, settings.data.features
    named = {
        "weights file": "" if weights in ("none", "pretrained") or features else weights,
        "checkpoint": begun_with,
        "file of features": features,
    }
    paths = {what: Path(name) for what, name in named.items() if name} | dict(more or {})
    for what, path in paths.items():
        if path is not None:
            require_path(path, what)
