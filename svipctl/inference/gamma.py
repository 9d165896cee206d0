"""The calibrated gamma of a run: the offset that calibrated stacking subtracts from the scores of seen classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from svipctl.errors import ConfigError
from svipctl.inference.checkpoint import Metadata
from svipctl.runs.run import Run


@dataclass(frozen=True)
class Gamma:
    """A gamma (Chao et al., ECCV 2016) and its origin.

    Raises:
        ConfigError: It is not finite.

    """

    value: float
    origin: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ConfigError(f"gamma is {self.value}", why="it is a finite number", todo="--gamma NUMBER")


def calibrated_gamma(run: Run, metadata: Metadata) -> Gamma:
    """Return the run's gamma, chosen on validation images, or 0 if it has none. A gamma from test images is never used.

    Raises:
        DataError: A document of the run is damaged.

    """
    development = run.development() if run.settings().train.fold is None else None
    if development is not None:
        runs = ", ".join(one.run for one in development.runs)
        return Gamma(development.gamma, f"chosen on validation images, by {runs}")
    evaluation = run.evaluation(metadata.epoch)
    calibrated = evaluation.protocols.get("gzsl-calibrated", {}) if evaluation else {}
    if "gamma" in calibrated:
        return Gamma(calibrated["gamma"], "calibrated by `svipctl eval`")
    chosen = metadata.metrics.get("gamma")
    if chosen is not None and str(metadata.metrics.get("monitor", "")).startswith("fold-"):
        return Gamma(float(chosen), f"chosen on the validation images of {metadata.metrics['monitor']}")
    return Gamma(0.0, "the run was not calibrated on validation images")
