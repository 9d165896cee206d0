"""From a run to the parts of a classifier: its model, its classes, its gamma."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.inference.network import check_same_benchmark
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.class_table import Candidates, read_candidates, value_range
from svipctl.runs.run import Run

_EVALUATION = "eval/metrics.json"


@dataclass(frozen=True)
class Gamma:
    """What is subtracted from the scores of trained classes, and where it comes from."""

    value: float
    origin: str


def calibrated_gamma(run: Run, metadata: Metadata) -> Gamma:
    """The run's gamma, chosen on validation images; 0 if it has none. One that was chosen on test is never used."""
    development = run.development() if run.settings().train.fold is None else None
    if development is not None:
        runs = ", ".join(one["run"] for one in development["runs"])
        return Gamma(float(development["gamma"]), f"chosen on validation images, by {runs}")
    _, protocols = evaluation_of(run, metadata.epoch)
    value = protocols.get("gzsl-calibrated", {}).get("gamma", math.nan)
    if math.isfinite(value):
        return Gamma(value, "calibrated by `svipctl eval`")
    chosen = metadata.metrics.get("gamma")
    if chosen is not None and str(metadata.metrics.get("monitor", "")).startswith("fold-"):
        return Gamma(float(chosen), f"chosen on the validation images of {metadata.metrics['monitor']}")
    return Gamma(0.0, "the run was not calibrated on validation images")


def evaluation_of(run: Run, epoch: int) -> tuple[str, dict[str, dict[str, float]]]:
    """Which images the run's checkpoint of this epoch was evaluated on, and the figures by protocol: none if it was not.

    Raises:
        DataError: They are damaged.

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


def candidates_of(
    metadata: Metadata, benchmark: Benchmark | None, table: Path | None = None, *, extend: bool = False
) -> Candidates:
    """The classes to choose from.

    Args:
        metadata: Of the checkpoint.
        benchmark: The data set the run was trained on; without it the values of a table cannot be held against it.
        table: A class table that replaces the benchmark's classes, or with `extend` follows them.
        extend: See `table`.

    Raises:
        DataError: The table is unusable, or the benchmark is not the one of the run.

    """
    own = None
    if benchmark is not None:
        check_same_benchmark(metadata, benchmark)
        own = Candidates.of(benchmark, metadata.seen_classes)
    if table is not None:
        others = read_candidates(
            table,
            metadata.attributes,
            seen_classes=metadata.seen_classes,
            values=value_range(own.class_attributes) if own else None,
        )
        if not extend:
            return others
        if own is not None:
            return own.extended(others)
    if own is None:
        raise DataError(
            f"the classes of {metadata.dataset} are not here: its data set was not found",
            todo="name the data set's folder with --data-dir, or give classes with --classes FILE.csv",
        )
    return own
