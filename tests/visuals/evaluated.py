"""A tiny run, evaluated in this process, for the tests of figures and reports of evaluations."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.registry import open_benchmark
from svipctl.evaluation.evaluate import evaluate_subject
from svipctl.evaluation.result import ModelEvaluation
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings


@dataclass(frozen=True)
class Evaluated:
    run: Run
    benchmark: Benchmark
    settings: Settings
    evaluation: ModelEvaluation


def evaluated(trained: Path, data: Path, folder: Path) -> Evaluated:
    """Evaluate a copy of the run in `folder`."""
    run = Run(Path(shutil.copytree(trained, folder / "runs" / "small" / trained.name)))
    flags = {"gpu": "cpu", "data.workers": 0, "eval.bootstrap": 50, "precision": "fp32", "runs_dir": folder / "runs"}
    settings = resolve(str(data), flags=flags).settings
    benchmark = open_benchmark(str(data), settings.data_dir)
    return Evaluated(run, benchmark, settings, evaluate_subject(run, benchmark, settings))
