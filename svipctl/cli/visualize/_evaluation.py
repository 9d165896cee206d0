"""The data set of a run and its evaluation, for figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.cli._output import sink

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.evaluation.evaluation import ModelEvaluation
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings


def open_run_dataset(run: Run, settings: Settings) -> Benchmark:
    """Return the run's data set."""
    from svipctl.datasets.registry import open_benchmark

    partial = settings.data.allow_partial or run.settings().data.allow_partial
    with sink.progress(f"drawing {settings.dataset}") as progress:
        return open_benchmark(settings.dataset, settings.data_dir, progress, allow_partial=partial)


def evaluate(run: Run, benchmark: Benchmark, settings: Settings, *, what: str = "predicting") -> ModelEvaluation:
    """Evaluate a run as `svipctl eval` does, its eval/metrics.json included, and print the warnings."""
    from svipctl.evaluation.evaluate import evaluate_subject
    from svipctl.signals import listening

    with listening() as stop, sink.progress(what) as progress:

        def watched(done: int, total: int) -> None:
            progress(done, total)
            stop.raise_if_asked()

        measured = evaluate_subject(run, benchmark, settings, watched)
    for warning in measured.document["warnings"]:
        sink.warn(warning)
    return measured


def show_plan(run: Run, file: Path, figure: str, settings: Settings) -> None:
    """Show what --dry-run found."""
    sink.say(f"{run.name} would be evaluated, and its {figure} written to {file}")
    sink.document(
        {"dry_run": True, "dataset": settings.dataset, "run": str(run.folder), "figure": figure, "files": [str(file)]}
    )
