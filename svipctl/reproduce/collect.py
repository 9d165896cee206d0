"""What the runs of a plan have found, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svipctl.errors import DataError
from svipctl.reproduce.plan import Plan, Step
from svipctl.reproduce.state import State, run_of, state_of
from svipctl.runs.run import Run
from svipctl.settings.layers import ENVIRONMENT, PROJECT_FILE, flatten
from svipctl.training.resume import FREE

CHOSEN = "epoch chosen on test"
"""The figures of the published choice: the epoch with the best H of the published protocol on the test set."""


@dataclass(frozen=True)
class Result:
    """Of one final run or baseline."""

    run: str
    seed: int | None
    """None of a baseline, which has no seed."""
    figures: Mapping[str, float]
    """`zsl.T1`, `gzsl-calibrated.H`, `selection.auc`, ...: percent, and gammas."""
    half_widths: Mapping[str, float]
    """Half of each 95 % bootstrap interval over the test images, percentage points."""
    images: Mapping[str, int]
    """How many were scored, `seen` and `unseen`."""
    partial: bool
    """Whether images of the data set are missing."""
    choice: Mapping[str, Any] | None
    """Of a baseline: what was chosen on the folds, and of how many choices (`tried`)."""
    elsewhere: tuple[str, ...]
    """Settings of the training that no command line shows, because a file or the environment gave them."""
    environment: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RowResults:
    """Of one row of the table."""

    row: str
    recipe: str
    """Empty for a baseline."""
    results: tuple[Result, ...]
    missing: tuple[str, ...]
    """Runs of the plan that have no evaluation yet."""

    def values(self, figure: str) -> dict[int, float]:
        """Seed -> value, of the runs that have this figure; a baseline's stands under -1."""
        return {
            -1 if result.seed is None else result.seed: result.figures[figure]
            for result in self.results
            if figure in result.figures
        }


def collect(plan: Plan) -> list[RowResults]:
    """Every row in the order of the plan.

    Raises:
        DataError: The figures of a run are damaged.

    """
    rows: dict[tuple[str, str], tuple[list[Result], list[str]]] = {}
    for step in plan.steps:
        if step.kind not in ("evaluation", "baseline"):
            continue
        found, missing = rows.setdefault((step.recipe, step.row), ([], []))
        result = _result(step)
        if result is None:
            missing.append(step.run)
        else:
            found.append(result)
    return [RowResults(row, recipe, tuple(found), tuple(missing)) for (recipe, row), (found, missing) in rows.items()]


def _result(step: Step) -> Result | None:
    run = run_of(step)
    document = run.read_json("eval/metrics.json")
    if document is None or state_of(step) is not State.DONE:
        return None
    figures = dict(_figures(document["protocols"]))
    for part in ("per_image", "selection"):
        figures |= dict(_figures({part: document.get(part, {})}))
    figures |= _chosen_on_test(run.folder / "metrics.jsonl")
    half_widths = {
        f"{row}.{figure}": (high - low) / 2
        for row, pairs in document.get("intervals", {}).items()
        for figure, (low, high) in pairs.items()
    }
    development = document.get("development") or {}
    return Result(
        run=run.name,
        seed=step.seed,
        figures=figures,
        half_widths=half_widths,
        images=document.get("images", {}),
        partial=bool(document.get("missing_images")),
        choice=development["choice"] | {"tried": development["tried"]} if "choice" in development else None,
        elsewhere=tuple(_elsewhere(run)),
        environment=run.read_json("environment.json") or {},
        warnings=tuple(document.get("warnings", ())),
    )


def _elsewhere(run: Run) -> Iterator[str]:
    origins = run.read_json("origins.json") or {}
    found = {key: origin for key, origin in origins.items() if origin in (PROJECT_FILE, ENVIRONMENT)}
    values = flatten(run.settings()) if found else {}
    for key, origin in sorted(found.items()):
        if key in values and key not in FREE:
            yield f"{key} = {values[key]} ({origin})"


def _figures(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{name}.")
        else:
            yield prefix + name, float(value)


def _chosen_on_test(path: Path) -> dict[str, float]:
    """Of a run that looked at test after each epoch."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path} is damaged", why=str(error)) from error
    watched = [record for record in records if record.get("monitor") == "test" and "H_reference" in record]
    if not watched:
        return {}
    best = max(watched, key=lambda record: float(record["H_reference"]))
    values = {"T1": best["T1"], "epoch": best["epoch"]}
    values |= {figure: best[key] for figure in "USH" if (key := f"{figure}_reference") in best}
    return {f"{CHOSEN}.{name}": float(value) for name, value in values.items()}
