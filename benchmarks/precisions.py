"""Compare the accuracy of bf16 and compiled runs with fp32: toybirds, several seeds, in separate processes.

    python benchmarks/precisions.py FOLDER
    python benchmarks/precisions.py FOLDER --seeds 0 --epochs 1 --configurations fp32,bf16

FOLDER gets the data and the runs; finished runs are not repeated, so the benchmark may be interrupted. Prints the mean
over seeds with its standard error, of T1 and of H at the gamma that is best on test (`gzsl-oracle`), and whether each
mean is within one standard error of the difference from that of fp32.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

CONFIGURATIONS = {
    "fp32": ("--precision", "fp32"),
    "bf16": ("--precision", "bf16"),
    "compiled": ("--precision", "fp32", "--set", "train.compile=true"),
    "bf16-compiled": ("--precision", "bf16", "--set", "train.compile=true"),
}
FIGURES = {"T1": ("zsl", "T1"), "H": ("gzsl-oracle", "H")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, help="the preset's by default")
    parser.add_argument("--configurations", default="fp32,bf16,compiled")
    parser.add_argument("--gpu", default="auto")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in wanted.seeds.split(","):
        for name in wanted.configurations.split(","):
            figures = trained(wanted.folder, name, seed, wanted.epochs, wanted.gpu)
            found.setdefault(name, []).append(figures)
            print(f"{name} seed {seed}: {figures}", flush=True)
    report = {name: {figure: summary(rows, figure) for figure in FIGURES} for name, rows in found.items()}
    show(report)
    if wanted.json:
        wanted.json.write_text(json.dumps({"runs": found, "summary": report}, indent=2) + "\n")


def trained(folder: Path, name: str, seed: str, epochs: int | None, gpu: str) -> dict[str, float]:
    """Return the figures of a run, which is started, resumed or reused."""
    run = f"{name}-seed{seed}" + (f"-epochs{epochs}" if epochs else "")
    place = folder / "runs" / "toybirds" / run
    if not (place / "finished.json").exists():
        length = ("--epochs", str(epochs)) if epochs else ()
        common = ("--seed", seed, "--gpu", gpu, "--name", run, *length, "--set", "train.monitor=none")
        svipctl(folder, "train", "toybirds", *CONFIGURATIONS[name], *common, "--resume", "auto")
    if not (place / "eval" / "metrics.json").exists():
        svipctl(folder, "eval", "toybirds", "--run", run, "--gpu", gpu, "--set", "eval.bootstrap=0")
    rows = json.loads((place / "eval" / "metrics.json").read_text())["protocols"]
    epoch = json.loads((place / "metrics.jsonl").read_text().splitlines()[-1])
    figures = {figure: rows[row][key] for figure, (row, key) in FIGURES.items()}
    return figures | {"images_per_second": epoch["images_per_second"]}


def svipctl(folder: Path, *arguments: str) -> None:
    subprocess.run((sys.executable, "-m", "svipctl", *arguments, "--quiet"), cwd=folder, check=True)


def summary(rows: list[dict[str, float]], figure: str) -> dict[str, float]:
    values = [row[figure] for row in rows]
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"mean": statistics.mean(values), "standard_error": error}


def show(report: dict[str, dict[str, dict[str, float]]]) -> None:
    base: Any = report.get("fp32")
    print(
        "\n| | " + " | ".join(FIGURES) + " | within one standard error of fp32 |\n|---|" + "---|" * (len(FIGURES) + 1)
    )
    for name, figures in report.items():
        cells = [f"{figures[one]['mean']:.2f} ± {figures[one]['standard_error']:.2f}" for one in FIGURES]
        same = base and all(
            abs(figures[one]["mean"] - base[one]["mean"])
            <= math.hypot(figures[one]["standard_error"], base[one]["standard_error"])
            for one in FIGURES
        )
        several = base and not math.isnan(base["T1"]["standard_error"])
        print(f"| {name} | " + " | ".join(cells) + f" | {('yes' if same else 'no') if several else 'one seed'} |")


if __name__ == "__main__":
    main()
