"""Read the results of the runs of a plan from their folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from svipctl.evaluation.bootstrap import resampled_metrics
from svipctl.evaluation.calibration import Floats
from svipctl.evaluation.image_answers import IMAGES, read_answers
from svipctl.inference.checkpoint import read_metadata
from svipctl.reproduce.step_state import StepState, run_of, state_of
from svipctl.reproduce.table_plan import TablePlan, TableStep
from svipctl.runs.documents import EvaluationDocument
from svipctl.runs.records import whole_records
from svipctl.runs.run import Run
from svipctl.settings.keys import WHERE_AND_HOW, flatten
from svipctl.settings.layers import ENVIRONMENT, PROJECT_FILE

RESAMPLES = 1000
CHOSEN_ON_TEST = "epoch chosen on test"
"""Prefix of the metrics of the published choice: the epoch with the best H of the published protocol on the test set.
"""


@dataclass(frozen=True)
class RunResult:
    """Result of one final run or baseline."""

    run: Run
    seed: int
    """Seed of the run; -1 for a baseline, which has no seed."""
    evaluation: EvaluationDocument
    figures: Mapping[str, float]
    """`zsl.T1`, `gzsl-calibrated.H`, `selection.auc`, ...: percent, and gammas."""
    half_widths: Mapping[str, float]
    """Half of each 95 % bootstrap interval over the test images, percentage points."""
    resampled: Mapping[str, Floats]
    """Metrics in percent in each bootstrap resample of the test images, shape (R,); empty if the evaluation has no
    `eval/images.csv`.
    """
    scored: int
    """Hash of the scored images and their order; the resamples of two runs are paired if it is equal."""

    @property
    def choice(self) -> dict[str, Any] | None:
        """Choice of a baseline on the folds, and the number of choices (`tried`); None for other runs."""
        found = self.evaluation.development
        return found.choice | {"tried": found.tried} if found and found.choice else None

    @property
    def word_vectors(self) -> str:
        """SHA-256 of the word vectors of the run's network, empty without any."""
        return read_metadata(self.run.best).word_vectors_sha256 if self.run.best.exists() else ""

    @property
    def hidden_settings(self) -> list[str]:
        """Settings of the training that no command line shows, because they are from a file or the environment."""
        origins = self.run.origins()
        found = {key: origin for key, origin in origins.items() if origin in (PROJECT_FILE, ENVIRONMENT)}
        values = flatten(self.run.settings()) if found else {}
        return [
            f"{key} = {values[key]} ({origin})"
            for key, origin in sorted(found.items())
            if key in values and key not in WHERE_AND_HOW
        ]


@dataclass(frozen=True)
class RowResults:
    """Results of one row of the table."""

    row: str
    recipe: str
    """Empty for a baseline."""
    results: tuple[RunResult, ...]
    missing: tuple[str, ...]
    """Runs of the plan that have no evaluation yet."""

    def resampled(self, figure: str, scored: int) -> dict[int, Floats]:
        """Return seed -> a metric in each resample of the images, of the runs that were scored on these images."""
        return {
            result.seed: result.resampled[figure]
            for result in self.results
            if result.scored == scored and figure in result.resampled
        }

    def values(self, figure: str) -> dict[int, float]:
        """Return seed -> value of the runs that have a metric; the seed of a baseline is -1."""
        return {result.seed: result.figures[figure] for result in self.results if figure in result.figures}


def collect_results(plan: TablePlan) -> list[RowResults]:
    """Return the results of every row in the order of the plan.

    Raises:
        DataError: The results of a run are damaged.

    """
    rows: dict[tuple[str, str], dict[str, RunResult | None]] = {}
    for step in plan.steps:
        if step.kind in ("evaluation", "baseline"):
            rows.setdefault((step.recipe, step.row), {})[step.run] = _result(step)
    return [
        RowResults(
            row,
            recipe,
            results=tuple(result for result in found.values() if result is not None),
            missing=tuple(run for run, result in found.items() if result is None),
        )
        for (recipe, row), found in rows.items()
    ]


def _result(step: TableStep) -> RunResult | None:
    run = run_of(step)
    evaluation = run.evaluation()
    if evaluation is None or state_of(step) is not StepState.DONE:
        return None
    file = run.folder / IMAGES
    scored, resampled = _resampled(run, file.stat().st_mtime_ns) if file.exists() else (0, {})
    parts = {"per_image": evaluation.per_image, "selection": evaluation.selection.model_dump(exclude_none=True)}
    return RunResult(
        run,
        -1 if step.seed is None else step.seed,
        evaluation,
        figures=dict(_figures({**evaluation.protocols, **parts, **_chosen_on_test(run.folder / "metrics.jsonl")})),
        half_widths={
            f"{row}.{figure}": (high - low) / 2
            for row, pairs in evaluation.intervals.items()
            for figure, (low, high) in pairs.items()
        },
        resampled=resampled,
        scored=scored,
    )


@cache
def _resampled(run: Run, modified: int) -> tuple[int, dict[str, Floats]]:
    """Return a hash of the scored images, and each metric in each resample of them; `modified` is the file's time."""
    found, evaluation = read_answers(run), run.evaluation()
    if found is None or evaluation is None:
        return 0, {}
    images, answers = found
    gammas = {row: metrics.get("gamma", 0.0) for row, metrics in evaluation.protocols.items() if row.startswith("gzsl")}
    metrics = resampled_metrics(answers, gammas, RESAMPLES, 0)
    return hash(images), {f"{row}.{name}": 100 * values for (row, name), values in metrics.items()}


def _figures(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{name}.")
        else:
            yield prefix + name, float(value)


def _chosen_on_test(path: Path) -> dict[str, Any]:
    """Return the metrics of the published choice of an epoch, if the run was evaluated on test after each."""
    watched = [record for record in whole_records(path) if record.get("monitor") == "test" and "H_reference" in record]
    if not watched:
        return {}
    best = max(watched, key=lambda record: float(record["H_reference"]))
    figures = {figure: best[key] for figure in "USH" if (key := f"{figure}_reference") in best}
    return {CHOSEN_ON_TEST: {"T1": best["T1"], "epoch": best["epoch"], **figures}}
