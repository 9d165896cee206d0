"""svipctl: attribute-based zero-shot image classification with SVIP (ICCV 2025), as a Python API and a command line.

Everything in `__all__` is imported on first use, so that `import svipctl` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from svipctl.version import __version__

if TYPE_CHECKING:
    from svipctl.api import TrainingRun, evaluate, open_dataset, train
    from svipctl.errors import SvipError
    from svipctl.evaluation.result import Evaluation
    from svipctl.evaluation.score_predictions import score
    from svipctl.inference.load import load
    from svipctl.inference.trained_model import TrainedModel

__all__ = [
    "Evaluation",
    "SvipError",
    "TrainedModel",
    "TrainingRun",
    "__version__",
    "evaluate",
    "load",
    "open_dataset",
    "score",
    "train",
]

_MODULES = {
    "Evaluation": "svipctl.evaluation.result",
    "SvipError": "svipctl.errors",
    "TrainedModel": "svipctl.inference.trained_model",
    "TrainingRun": "svipctl.api",
    "evaluate": "svipctl.api",
    "load": "svipctl.inference.load",
    "open_dataset": "svipctl.api",
    "score": "svipctl.evaluation.score_predictions",
    "train": "svipctl.api",
}


def __getattr__(name: str) -> Any:
    """Import a name of the public API on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'svipctl' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """Return the names of the public API."""
    return __all__
