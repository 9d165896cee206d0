"""How well gamma from folds suits the test images, on small data folders of one's own.

Classes of CUB are drawn by seed, a quarter of them unseen; each draw becomes a data folder, is trained with
`calibrate=True` and evaluated. The figure is H at the carried gamma against the best H over all gammas.

    PYTHONPATH=. python benchmarks/calibration.py --data-dir DATA --draws 4
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from statistics import mean

import numpy as np

import svipctl
from svipctl.datasets.benchmark import Benchmark

SIZES = (12, 20, 30)


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
    """Return the images of a class that are there."""
    indices = np.flatnonzero(benchmark.labels == label)
    return [benchmark.image_path(index) for index in indices if benchmark.images[index] not in missing]


def measure(folder: Path, recipe: str, runs_dir: Path) -> tuple[float, float, float]:
    """Return T1, H at the carried gamma and the best H, in percent."""
    run = svipctl.train(folder, recipe=recipe, calibrate=True, runs_dir=runs_dir, settings={"model.backbone": "lite"})
    rows = svipctl.evaluate(run.load(), svipctl.open_dataset(folder)).rows
    return rows["zsl"]["T1"], rows["gzsl-calibrated"]["H"], rows["gzsl-oracle"]["H"]


def main() -> None:
    """Print a line a draw, and the means over the draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--recipes", default="hybrid,svipctl")
    arguments = parser.parse_args()
    benchmark = svipctl.open_dataset("cub", arguments.data_dir, allow_partial=True)
    for size in SIZES:
        found: dict[str, list[tuple[float, float, float]]] = {}
        for seed in range(arguments.draws):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / f"birds{size}-{seed}"
                write_folder(benchmark, folder, size, seed)
                for recipe in arguments.recipes.split(","):
                    figures = measure(folder, recipe, Path(name) / "runs")
                    found.setdefault(recipe, []).append(figures)
                    print(f"{size} classes, draw {seed}, {recipe}: T1 {figures[0]:.1f}", end="")
                    print(f" H {figures[1]:.1f} best {figures[2]:.1f}", flush=True)
        for recipe, rows in found.items():
            t1, carried, best = (mean(column) for column in zip(*rows))
            print(f"mean of {size} classes, {recipe}: T1 {t1:.1f} H {carried:.1f} best {best:.1f}", flush=True)


if __name__ == "__main__":
    main()
