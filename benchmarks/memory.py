"""Measure the memory of training over epochs and over the size of a packed data set.

    python benchmarks/memory.py FOLDER --images 4000 --images 40000

Writes and packs a folder of small random images for each size, trains in a separate process, and prints its peak memory
after each epoch as recorded in metrics.jsonl. The network is small, so that the data would show.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SEEN, UNSEEN, TESTED, SIDE = 40, 10, 5, 64
NETWORK = ("--backbone", "vit_tiny_patch16_224", "--weights", "none", "--gpu", "cpu", "--precision", "fp32")
SMALL = "model.backbone_args={img_size=64,patch_size=16,embed_dim=32,depth=2,num_heads=2}"
OTHER = ("method.context=free", "optim.warmup_epochs=0", "train.batch_size=200")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("--images", type=int, action="append")
    parser.add_argument("--epochs", type=int, default=3)
    wanted = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| training images | pixels | " + " | ".join(f"epoch {n + 1}" for n in range(wanted.epochs)) + " |")
    print("|---|---|" + "---|" * wanted.epochs)
    for images in wanted.images or [4000, 40000]:
        data = make(wanted.folder / f"of{images}", images)
        settings = [part for key in (SMALL, *OTHER) for part in ("--set", key)]
        run_svipctl(wanted.folder, "data", "pack", str(data), "--backbone", NETWORK[1], "--set", SMALL)
        command = ("train", str(data), *NETWORK, *settings, "--epochs", str(wanted.epochs), "--json")
        document = json.loads(run_svipctl(wanted.folder, *command))
        lines = (wanted.folder / document["run"] / "metrics.jsonl").read_text().splitlines()
        peaks = " | ".join(f"{json.loads(line)['peak_memory_mib']:.1f} MiB" for line in lines)
        print(f"| {images:,} | {images * 3 * SIDE**2 / 2**20:.0f} MiB | {peaks} |", flush=True)


def make(root: Path, images: int) -> Path:
    """Write a data folder with the given number of training images, unless it exists."""
    if (root / "split.csv").exists():
        return root
    rng = np.random.default_rng(0)
    names = [f"class_{number}" for number in range(SEEN + UNSEEN)]
    table = rng.integers(0, 2, (len(names), 20))
    table[:, 0] = 1
    rows: list[list[object]] = [["image", "split"]]
    for number, name in enumerate(names):
        (root / "images" / name).mkdir(parents=True)
        parts = ["trainval"] * (images // SEEN) + ["test_seen"] * TESTED if number < SEEN else ["test_unseen"] * TESTED
        for index, part in enumerate(parts):
            small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            small.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(root / "images" / name / f"{index}.png")
            rows.append([f"{name}/{index}.png", part])
    write(root / "attributes.csv", [["class", *(f"a{k}" for k in range(20))], *([n, *r] for n, r in zip(names, table))])
    write(root / "split.csv", rows)
    return root


def write(path: Path, rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def run_svipctl(folder: Path, *arguments: str) -> str:
    command = (sys.executable, "-m", "svipctl", *arguments, "--quiet")
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
