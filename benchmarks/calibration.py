"""Measure how well gamma from folds suits the test images, on small data folders.

Draws classes of CUB by seed, a quarter of them unseen, writes each draw as a data folder, trains on it with
`calibrate=True` and evaluates; baselines choose their hyper-parameters and gamma on the same three folds. Reports H at
the gamma of the folds and the best H over all gammas.

    PYTHONPATH=. python benchmarks/calibration.py --data-dir DATA --draws 4
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import svipctl
from svipctl.datasets.benchmark import Benchmark

SIZES = (12, 20, 30)
BASELINES = ("ridge", "eszsl", "sae", "prototypes", "bilinear")


def write_folder(benchmark: Benchmark, folder: Path, size: int, seed: int) -> None:
    """Write a data folder of `size` classes, whose images are links."""
    rng = np.random.default_rng([seed, size])
    missing = set(benchmark.missing)
    there = [label for label in range(len(benchmark.classes)) if files_of(benchmark, label, missing)]
    chosen = sorted(rng.choice(there, size, replace=False))
    unseen = rng.choice(chosen, size // 4, replace=False)
    for label in chosen:
        name = benchmark.classes[label]
        (folder / "images" / name).mkdir(parents=True)
        for path in files_of(benchmark, label, missing):
            (folder / "images" / name / path.name).symlink_to(path.resolve())
    with (folder / "attributes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["class", *benchmark.attributes])
        rows.writerows([benchmark.classes[label], *benchmark.class_attributes[label]] for label in chosen)
    (folder / "unseen.txt").write_text("".join(f"{benchmark.classes[label]}\n" for label in sorted(unseen)))


def files_of(benchmark: Benchmark, label: int, missing: set[str]) -> list[Path]:
    """Return the images of a class that exist."""
    indices = np.flatnonzero(benchmark.labels == label)
    return [benchmark.image_path(index) for index in indices if benchmark.images[index] not in missing]


def measure(folder: Path, recipe: str, runs_dir: Path) -> tuple[float, float, float]:
    """Return T1, H at the gamma of the folds and the best H, in percent."""
    run = svipctl.train(folder, recipe=recipe, calibrate=True, runs_dir=runs_dir, settings={"model.backbone": "lite"})
    return figures_of(svipctl.evaluate(run.load(), svipctl.open_dataset(folder)).rows)


def measure_baseline(folder: Path, method: str, runs_dir: Path) -> tuple[float, float, float]:
    """Return the same figures of a baseline on the features of the same backbone."""
    flags = ["--method", method, "--backbone", "lite", "--runs-dir", str(runs_dir), "--quiet", "--json"]
    folds = [word for fold in "123" for word in ("--fold", fold)]
    command = [sys.executable, "-m", "svipctl", "baseline", str(folder), *flags, *folds]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return figures_of(json.loads(done.stdout)["protocols"])


def figures_of(rows: dict[str, Any]) -> tuple[float, float, float]:
    """Return T1, H at the gamma of the folds and the best H from the rows of an evaluation."""
    return rows["zsl"]["T1"], rows["gzsl-calibrated"]["H"], rows["gzsl-oracle"]["H"]


def main() -> None:
    """Print a line per draw, and the means over the draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--rows", default=",".join(["hybrid", "svipctl", *BASELINES]))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    benchmark = svipctl.open_dataset("cub", arguments.data_dir, allow_partial=True)
    for size in arguments.sizes:
        found: dict[str, list[tuple[float, float, float]]] = {}
        for seed in range(arguments.draws):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / f"birds{size}-{seed}"
                write_folder(benchmark, folder, size, seed)
                for row in arguments.rows.split(","):
                    measured = measure_baseline if row in BASELINES else measure
                    figures = measured(folder, row, Path(name) / "runs")
                    found.setdefault(row, []).append(figures)
                    print(f"{size} classes, draw {seed}, {row}: T1 {figures[0]:.1f}", end="")
                    print(f" H {figures[1]:.1f} best {figures[2]:.1f}", flush=True)
        for row, draws in found.items():
            t1, carried, best = (mean(column) for column in zip(*draws))
            print(f"mean of {size} classes, {row}: T1 {t1:.1f} H {carried:.1f} best {best:.1f}", flush=True)


if __name__ == "__main__":
    main()
