"""Check the inputs that a configuration names before anything heavy is imported, so that mistakes are reported at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.datasets.names import check_present
from svipctl.errors import DataError
from svipctl.files import open_regular

if TYPE_CHECKING:
    from svipctl.settings.schema import Settings


def check_inputs(settings: Settings, checkpoint: Path | None = None) -> None:
    """Raise the error of a missing data set, weights file or other input, before anything heavy is imported.

    Args:
        settings: The data set and the weights.
        checkpoint: A checkpoint to use instead of the one to start from.

    """
    check_present(settings.dataset, settings.data_dir)
    weights, features = settings.model.weights, settings.data.features
    named = {
        "weights file": "" if weights in ("none", "pretrained") or features else weights,
        "checkpoint": str(checkpoint or settings.model.init_from),
        "feature file": features,
    }
    for what, path in [(what, Path(name)) for what, name in named.items() if name]:
        if not path.is_dir():
            open_regular(path, what=what).close()
        elif what == "weights file":
            raise DataError(f"{path} is a folder, not a weights file", todo="pass a file, or --init-from for a run")
