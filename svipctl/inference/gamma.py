"""The calibrated gamma of a run: the offset that calibrated stacking subtracts from the scores of seen classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from svipctl.errors import DataError
from svipctl.inference.checkpoint import Metadata
from svipctl.runs.run import Run

_EVALUATION = "eval/metrics.json"


@dataclass(frozen=True)
class Gamma:
    """A gamma (Chao et al., ECCV 2016) and its origin."""

    value: float
    origin: str


def calibrated_gamma(run: Run, metadata: Metadata) -> Gamma:
    """Return the run's gamma, chosen on validation images, or 0 if it has none. A gamma from test images is never used.

    Raises:
        DataError: A document of the run is damaged.

    """
    development = run.development() if run.settings().train.fold is None else None
    if development is not None:
        runs = ", ".join(one["run"] for one in development["runs"])
        return Gamma(float(development["gamma"]), f"chosen on validation images, by {runs}")
    _, protocols = read_evaluation(run, metadata.epoch)
    value = protocols.get("gzsl-calibrated", {}).get("gamma", math.nan)
    if math.isfinite(value):
        return Gamma(value, "calibrated by `svipctl eval`")
    chosen = metadata.metrics.get("gamma")
    if chosen is not None and str(metadata.metrics.get("monitor", "")).startswith("fold-"):
        return Gamma(float(chosen), f"chosen on the validation images of {metadata.metrics['monitor']}")
    return Gamma(0.0, "the run was not calibrated on validation images")


def read_evaluation(run: Run, epoch: int) -> tuple[str, dict[str, dict[str, float]]]:
    """Return the split and the figures by protocol that `svipctl eval` recorded for the run's checkpoint of this epoch.

    Returns:
        `("test", {})` if that checkpoint was not evaluated.

    Raises:
        DataError: The document is damaged.

    """
    evaluated = run.read_json(_EVALUATION) or {}
    if evaluated.get("epoch", epoch) != epoch:
        return "test", {}
    try:
        protocols = {
            row: {name: float(value) for name, value in figures.items()}
            for row, figures in evaluated.get("protocols", {}).items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{run.folder / _EVALUATION} is damaged", why=str(error), todo="run `svipctl eval` again"
        ) from error
    return str(evaluated.get("split", "test")), protocols
