"""Measure time and memory of `svipctl visualize` for few and for many images.

Each command runs in a new process, imports included; the memory is the largest resident set that the system counted for
it. The figures are written to a temporary folder.

    python benchmarks/figures.py toybirds --data-dir DATA --runs-dir RUNS
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

VERBS = ("patches", "attributes", "attention", "sheet")


@dataclass(frozen=True)
class Measured:
    """Measurements of one process."""

    verb: str
    images: int
    seconds: float
    cpu_seconds: float
    megabytes: float
    """Largest resident set, in MB."""
    written: int
    """Size of the figures, in bytes."""


def measure(verb: str, images: int, arguments: Sequence[str]) -> Measured:
    """Run a command that draws a figure.

    Args:
        verb: Command of `svipctl visualize`.
        images: Number of images shown; for a contact sheet, which reads more than it shows, one in eight of these.
        arguments: Data set, folders and other arguments.

    """
    limit = max(1, images // 8) if verb == "sheet" else images
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "svipctl", "visualize", verb, *arguments]
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--limit", str(limit), "-o", folder, "--quiet"], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{' '.join(command)} failed")
        written = sum(path.stat().st_size for path in Path(folder).iterdir())
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(verb, images, seconds, cpu, usage.ru_maxrss * unit / 1e6, written)


def main() -> None:
    """Print a table, or with --json one document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--images", type=int, nargs="+", default=[16, 160])
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=VERBS)
    parser.add_argument("--rounds", type=int, default=2, help="the fastest is reported, and the largest memory")
    parser.add_argument("--json", action="store_true")
    known, others = parser.parse_known_args()
    found = []
    for verb in known.verbs:
        for images in known.images:
            runs = [measure(verb, images, [known.dataset, *others]) for _ in range(known.rounds)]
            best = min(runs, key=lambda run: run.seconds)
            found.append({**asdict(best), "megabytes": max(run.megabytes for run in runs)})
            if not known.json:
                print(
                    f"{verb:<11}{images:>6} images {best.seconds:7.1f} s {best.cpu_seconds:7.1f} s of CPU "
                    f"{found[-1]['megabytes']:7.0f} MB {best.written / 1e6:6.2f} MB written",
                    flush=True,
                )
    if known.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
