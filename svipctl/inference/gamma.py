"""Load the calibrated gamma of a run: the offset that calibrated stacking subtracts from the scores of seen classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from svipctl.errors import ConfigError
from svipctl.inference.checkpoint import Metadata
from svipctl.runs.run import Run


@dataclass(frozen=True)
class Gamma:
    """A gamma (Chao et al., ECCV 2016) and its origin.

    Raises:
        ConfigError: The value is not finite.

    """

    value: float
    origin: str

    def __post_init__(self) -> None:
        try:
            is_finite = math.isfinite(self.value)
        except (OverflowError, TypeError):  # a whole number beyond every float, or no number
            is_finite = False
        if not is_finite:
            raise ConfigError(
                f"gamma is {self.value}", why="gamma must be a finite number", todo="pass a number: --gamma 0.1"
            )

    def __str__(self) -> str:
        return f"gamma {self.shown} ({self.origin})"

    @property
    def shown(self) -> str:
        """The value with four decimals."""
        return f"{self.value:.4f}"

    def document(self) -> dict[str, Any]:
        """Return the entries of gamma in JSON documents."""
        return {"gamma": self.value, "gamma_origin": self.origin}


NOT_CALIBRATED = "not calibrated on validation images, so seen classes are favoured"
"""Origin of the gamma 0 for a run without development runs, and for a checkpoint that is not a run's best one."""


def calibrated_gamma(run: Run, metadata: Metadata) -> Gamma:
    """Return the run's gamma, chosen on validation images, or 0 if it has none. A gamma from test images is never used.

    Evaluation, predictions, figures, reports and exports all use this one.

    Raises:
        DataError: A document of the run is damaged.

    """
    development = run.development() if run.settings().train.fold is None else None
    if development is not None:
        runs = [one.run for one in development.runs]
        by = f"by {runs[0]}" if len(runs) == 1 else f"by {len(runs)} development runs"
        return Gamma(development.gamma, f"chosen on validation images, {by}")
    chosen = metadata.metrics.get("gamma")
    if chosen is not None and str(metadata.metrics.get("monitor", "")).startswith("fold-"):
        return Gamma(float(chosen), f"chosen on the validation images of {metadata.metrics['monitor']}")
    return Gamma(0.0, NOT_CALIBRATED)
