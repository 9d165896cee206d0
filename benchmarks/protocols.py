"""Time the numbers of an evaluation once the images are predicted: no forward pass, only scores.

Random float64 scores in SUN's number of classes; every row of the table from one call, the seen-unseen curve exact, no
grid except that of the published row. The bootstrap is timed separately: it is one more curve per resample. The fastest
round of each counts, in wall-clock time and in processor time (the one to read on a shared machine).

    PYTHONPATH=. python benchmarks/protocols.py --images 14000 --classes 717
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np

from svipctl.evaluation.protocols import Scored, evaluate_protocols


def fastest(work: Callable[[], object], rounds: int) -> dict[str, float]:
    """Return the seconds of the fastest round."""
    walls, processors = [], []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return {"wall_s": round(min(walls), 4), "processor_s": round(min(processors), 4)}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=14_000)
    parser.add_argument("--classes", type=int, default=717)
    parser.add_argument("--unseen", type=int, default=72)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=1000)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    seen = np.arange(chosen.classes - chosen.unseen)
    unseen = np.arange(chosen.classes - chosen.unseen, chosen.classes)
    half = chosen.images // 2
    labels = np.concatenate([rng.choice(seen, half), rng.choice(unseen, chosen.images - half)])
    scored = Scored(rng.random((chosen.images, chosen.classes)), labels, seen, unseen)

    def rows(resamples: int) -> Callable[[], object]:
        return lambda: evaluate_protocols(scored, gamma=0.1, resamples=resamples)

    evaluation = fastest(rows(0), chosen.rounds)
    whole = fastest(rows(chosen.resamples), 1)
    bootstrap = {key: round(whole[key] - evaluation[key], 4) for key in whole}
    print(
        json.dumps(
            {
                "images": chosen.images,
                "classes": chosen.classes,
                "processors": os.cpu_count(),
                "load": [round(load, 1) for load in os.getloadavg()],
                "every row": evaluation,
                f"bootstrap of {chosen.resamples}": bootstrap,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
