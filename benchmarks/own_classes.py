"""Classify images of new attribute combinations, which no model was trained on, by `svipctl predict --classes`.

Draws ten combinations that are in no split of toybirds; a CSV describes them and ten more, all chosen at random without
regard to how much they differ. The program gets only that CSV and the images.

    PYTHONPATH=. python benchmarks/own_classes.py --run runs/toybirds/svipctl-seed0
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from svipctl.datasets.toybirds.drawing import draw_bird
from svipctl.datasets.toybirds.species import ATTRIBUTES, GROUPS, Species, draw_species

MEASURED, CANDIDATES = 10, 20


def new_combinations(seed: int, count: int) -> list[Species]:
    """Return the given number of distinct combinations that are not a class of toybirds."""
    rng = np.random.default_rng([seed, 7])
    taken = set(draw_species(0))
    found: list[Species] = []
    while len(found) < count:
        one = Species(tuple(int(rng.integers(len(values))) for values in GROUPS.values()))
        if one not in taken:
            taken.add(one)
            found.append(one)
    return found


def draw(folder: Path, seed: int, pictures: int) -> list[str]:
    """Write `classes.csv` and the images of the measured classes, and return the names of these classes."""
    species = new_combinations(seed, CANDIDATES)
    names = [f"new_{number:02d}" for number in range(CANDIDATES)]
    with (folder / "classes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["class", *ATTRIBUTES])
        rows.writerows([name, *one.attributes().astype(int)] for name, one in zip(names, species))
    for number, (name, one) in enumerate(zip(names[:MEASURED], species)):
        (folder / "pictures" / name).mkdir(parents=True)
        for index in range(pictures):
            picture, _ = draw_bird(one, np.random.default_rng([seed, 8, number, index]))
            picture.save(folder / "pictures" / name / f"{index:03d}.png")
    return names[:MEASURED]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pictures", type=int, default=50)
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            measured = draw(folder, seed, chosen.pictures)
            flags = ["--run", chosen.run, "--classes", str(folder / "classes.csv"), "--top", "1", "--csv", "--quiet"]
            command = [sys.executable, "-m", "svipctl", "predict", str(folder / "pictures"), *flags]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        right: Counter[str] = Counter()
        for row in csv.DictReader(done.stdout.splitlines()):
            right[Path(row["image"]).parent.name] += row["class"] == Path(row["image"]).parent.name
        shares = [100 * right[one] / chosen.pictures for one in measured]
        each = " ".join(f"{share:.0f}" for share in shares)
        print(f"seed {seed}: top-1 {np.mean(shares):.1f} % among {CANDIDATES} candidates; each: {each}")


if __name__ == "__main__":
    main()
