"""Read the results of the runs of a plan from their folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svipctl.reproduce.step_state import StepState, run_of, state_of
from svipctl.reproduce.table_plan import TablePlan, TableStep
from svipctl.runs.records import whole_records
from svipctl.runs.run import Run
from svipctl.settings.keys import WHERE_AND_HOW, flatten
from svipctl.settings.layers import ENVIRONMENT, PROJECT_FILE

CHOSEN_ON_TEST = "epoch chosen on test"
"""Prefix of the metrics of the published choice: the epoch with the best H of the published protocol on the test set.
"""


@dataclass(frozen=True)
class RunResult:
    """Result of one final run or baseline."""

    run: str
    seed: int | None
    """Seed of the run; None for a baseline, which has no seed."""
    figures: Mapping[str, float]
    """`zsl.T1`, `gzsl-calibrated.H`, `selection.auc`, ...: percent, and gammas."""
    half_widths: Mapping[str, float]
    """Half of each 95 % bootstrap interval over the test images, percentage points."""
    images: Mapping[str, int]
    """Number of scored images, `seen` and `unseen`."""
    partial: bool
    """True if images of the data set are missing."""
    choice: Mapping[str, Any] | None
    """Choice of a baseline on the folds, and the number of choices (`tried`); None for other runs."""
    hidden_settings: tuple[str, ...]
    """Settings of the training that no command line shows, because they are from a file or the environment."""
    environment: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RowResults:
    """Results of one row of the table."""

    row: str
    recipe: str
    """Empty for a baseline."""
    results: tuple[RunResult, ...]
    missing: tuple[str, ...]
    """Runs of the plan that have no evaluation yet."""

    def values(self, figure: str) -> dict[int, float]:
        """Return seed -> value of the runs that have a metric; the seed of a baseline is -1."""
        return {
            -1 if result.seed is None else result.seed: result.figures[figure]
            for result in self.results
            if figure in result.figures
        }


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
    development = evaluation.development
    parts = {"per_image": evaluation.per_image, "selection": evaluation.selection.model_dump(exclude_none=True)}
    return RunResult(
        run=run.name,
        seed=step.seed,
        figures=dict(_figures({**evaluation.protocols, **parts, **_chosen_on_test(run.folder / "metrics.jsonl")})),
        half_widths={
            f"{row}.{figure}": (high - low) / 2
            for row, pairs in evaluation.intervals.items()
            for figure, (low, high) in pairs.items()
        },
        images=evaluation.images,
        partial=bool(evaluation.missing_images),
        choice=development.choice | {"tried": development.tried} if development and development.choice else None,
        hidden_settings=tuple(_hidden_settings(run)),
        environment=run.environment(),
        warnings=tuple(evaluation.warnings),
    )


def _hidden_settings(run: Run) -> Iterator[str]:
    origins = run.origins()
    found = {key: origin for key, origin in origins.items() if origin in (PROJECT_FILE, ENVIRONMENT)}
    values = flatten(run.settings()) if found else {}
    for key, origin in sorted(found.items()):
        if key in values and key not in WHERE_AND_HOW:
            yield f"{key} = {values[key]} ({origin})"


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
