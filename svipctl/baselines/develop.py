"""Choose a baseline's hyper-parameters and gamma on development folds, like the method's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from svipctl.baselines.choices import Choice, Method, every_choice
from svipctl.baselines.fit import fit_and_predict, fit_choice
from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.calibration import pooled_gamma, seen_unseen_curve
from svipctl.inference.image_features import ImageFeatures
from svipctl.types import ProgressCallback

RULE = "best H over gamma, averaged over the validation parts of the folds; gamma maximizes the mean H over the folds"


@dataclass(frozen=True)
class OnFold:
    """Result of one choice on the validation part of a fold."""

    fold: int
    gamma: float
    """Gamma of the best H."""
    harmonic: float
    """The best H in percent."""


@dataclass(frozen=True)
class Developed:
    """The best choice."""

    choice: Choice
    folds: tuple[OnFold, ...]
    tried: int
    """Number of choices."""
    gamma: float
    """The gamma of the largest mean H over the folds."""

    def document(self, run: str) -> dict[str, Any]:
        """Return the content of `development.json`, in the form of a final run's, with the run itself as its origin."""
        return {
            "rule": RULE,
            "epochs": 0,
            "gamma": self.gamma,
            "runs": [{"run": run, "seed": 0, "epochs": 0, **asdict(fold)} for fold in self.folds],
            "choice": asdict(self.choice) | {"weights": list(self.choice.weights)},
            "tried": self.tried,
        }


def develop(
    method: Method,
    features: ImageFeatures,
    benchmark: Benchmark,
    folds: Sequence[int],
    progress: ProgressCallback | None = None,
) -> Developed:
    """Try every choice on every fold.

    Args:
        method: Name of the baseline.
        features: Features of the data set's images.
        benchmark: Data set with these folds.
        folds: Numbers of the folds, from 1.
        progress: Called with folds done and folds in total.

    Raises:
        ConfigError: A fold does not exist.

    """
    space, reached = every_choice(method), dict[Choice, list[OnFold]]()
    splits = [benchmark.split(fold) for fold in folds]
    for number, (fold, split) in enumerate(zip(folds, splits), 1):
        for choice, scored in fit_and_predict(method, space, features, benchmark, split):
            curve = seen_unseen_curve(scored.answers())
            best = curve.best()
            point = OnFold(fold, float(curve.gammas[best]), 100 * float(curve.harmonic[best]))
            reached.setdefault(choice, []).append(point)
        if progress:
            progress(number, len(folds))
    chosen = max(reached, key=lambda choice: sum(found.harmonic for found in reached[choice]))
    of_folds = [fit_choice(method, chosen, features, benchmark, split) for split in splits]
    gamma = pooled_gamma([seen_unseen_curve(scored.answers()) for scored in of_folds])
    return Developed(chosen, tuple(reached[chosen]), len(reached), gamma)
