"""What the figures of an evaluation have in common: from the flags to a run, and from the run to its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli.output import sink

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.evaluation.evaluation import ModelEvaluation
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings


def found_run(dataset: str, run: str | None, **flags: Any) -> tuple[Run, Settings]:
    """The run, and the settings of its evaluation: its own precision unless another is asked for.

    Args:
        dataset: Of the run.
        run: Its name or folder, or None for the newest finished one.
        flags: For `resolved`.

    """
    from svipctl.cli.configure import resolved, with_precision_of
    from svipctl.cli.which_run import tell_run
    from svipctl.device import choose_device
    from svipctl.runs.finding import find_run

    configured = resolved(dataset, **flags)
    choose_device(configured.settings.gpu)  # a GPU that is not there is told in a dry run too
    found = find_run(configured.settings.runs_dir, configured.settings.dataset, run)
    if run is None:
        tell_run(found)
    return found, with_precision_of(found.settings(), configured)


def opened_benchmark(run: Run, settings: Settings) -> Benchmark:
    """The run's data set."""
    from svipctl.datasets.registry import open_benchmark

    partial = settings.data.allow_partial or run.settings().data.allow_partial
    with sink.progress(f"drawing {settings.dataset}") as progress:
        return open_benchmark(settings.dataset, settings.data_dir, progress, allow_partial=partial)


def measured_run(run: Run, benchmark: Benchmark, settings: Settings, *, what: str = "predicting") -> ModelEvaluation:
    """Evaluate a run as `svipctl eval` does, its eval/metrics.json included; warnings are told."""
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


def tell_plan(run: Run, file: Path, figure: str, settings: Settings) -> None:
    """What --dry-run says."""
    sink.say(f"{run.name} would be evaluated, and its {figure} written to {file}")
    sink.document(
        {"dry_run": True, "dataset": settings.dataset, "run": str(run.folder), "figure": figure, "files": [str(file)]}
    )
