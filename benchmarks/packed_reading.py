"""Compare reading an epoch from packed pixels with decoding it, both in one run, from the same files.

    python benchmarks/packed_reading.py DATASET [--data-dir DIR] [--workers N] [--repeats N]

Packs the data set if it is not packed yet. An epoch is every image once, as uint8 batches of 64 at 224 x 224. Decoding
uses the given number of worker processes and reading none; both are repeated and the fastest time of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from svipctl.datasets.images import Transform
from svipctl.datasets.loader import Batch, ImageLoader, in_batches
from svipctl.datasets.packed_pixels import find_pack, pack, plan_pack
from svipctl.datasets.registry import open_benchmark


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    benchmark = open_benchmark(wanted.dataset, wanted.data_dir, allow_partial=True)
    transform = Transform(224, augment="flip")
    pack(plan_pack(benchmark, transform.training_geometry), workers=2)
    packed, note = find_pack(benchmark, transform.training_geometry)
    assert packed is not None, note
    order = np.random.default_rng(0).permutation(len(benchmark.images))

    def epoch(*, from_pack: bool) -> Iterator[Batch]:
        images = ImageLoader(benchmark, transform, seed=0, packed=packed if from_pack else None)
        return images.batches(in_batches(order, 64), workers=wanted.workers)

    def seconds(*, from_pack: bool) -> float:
        """Time an epoch whose batches are not used."""
        started = time.perf_counter()
        images = sum(len(batch.images) for batch in epoch(from_pack=from_pack))
        assert images == len(order)
        return time.perf_counter() - started

    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(wanted.repeats):
        for from_pack in (False, True):
            times[from_pack].append(seconds(from_pack=from_pack))
    both = (epoch(from_pack=from_pack) for from_pack in (False, True))
    for one, other in zip(*both, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other)), "packed and decoded batches differ"
    decoding, reading = min(times[False]), min(times[True])
    count = len(order)
    print(f"{count} images, batches of 64, 224 x 224, fastest of {wanted.repeats}")
    print(f"decoding with {wanted.workers} workers: {decoding:.2f} s, {count / decoding:.0f} images/s")
    print(f"reading packed pixels:    {reading:.3f} s, {count / reading:.0f} images/s")
    print(f"ratio: {decoding / reading:.1f}; every batch is equal bit for bit")


if __name__ == "__main__":
    main()
