"""Benchmarks of unusual images to pack, and processes that pack and are stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from svipctl.datasets import packed_pixels
from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry
from svipctl.datasets.packed_pixels import PackPlan, pack, plan_pack
from tests import processes
from tests.faults import disk_fault, killed_at

SMALL_BLOCK = 3 * 32 * 32 * 2


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def of_files(root: Path, names: list[str]) -> Benchmark:
    """Return a benchmark: one seen class with the first half of the images, one unseen with the rest."""
    half, count = len(names) // 2, len(names)
    labels = (np.arange(count) >= half).astype(np.int64)
    parts = np.arange(half - 1), np.array([half - 1]), np.arange(half, count)
    return Benchmark("odd", root, ("a", "b"), ("k",), np.ones((2, 1)), tuple(names), labels, *parts)


def of_images(root: Path, sizes: list[tuple[int, int]]) -> Benchmark:
    """Return a benchmark of PNG images of these widths and heights."""
    names = [f"{number}.png" for number in range(len(sizes))]
    for name, size in zip(names, sizes):
        picture(*size).save(root / name)
    return of_files(root, names)


def of_odd_images(root: Path) -> Benchmark:
    """Return a benchmark of every mode, palettes, orientations, tiny images, portraits and landscapes."""
    rotated = Image.Exif()
    rotated[0x0112] = 6
    for name, mode in (("grey.jpg", "L"), ("inks.jpg", "CMYK"), ("inks.tif", "CMYK"), ("clear.png", "RGBA")):
        picture(50, 40, mode).save(root / name)
    for name, mode in (("palette.gif", "P"), ("palette.png", "P"), ("line.png", "1"), ("grey_clear.png", "LA")):
        picture(33, 70, mode).save(root / name)
    picture(60, 30).save(root / "rotated.jpg", exif=rotated)
    picture(60, 30).save(root / "rotated.tif", exif=rotated)
    for name, size in (("dot.png", (1, 1)), ("wide.png", (200, 3)), ("tall.jpg", (20, 150)), ("same.png", (32, 32))):
        picture(*size).save(root / name)
    return of_files(root, sorted(path.name for path in root.iterdir()))


def packed(benchmark: Benchmark, geometry: Geometry, **options: Any) -> PackPlan:
    """Make a pack of small blocks."""
    plan = plan_pack(benchmark, geometry)
    with mock.patch.object(packed_pixels, "BLOCK_BYTES", SMALL_BLOCK):
        pack(plan, **options)
    return plan


def in_process(target: Callable[..., None], *arguments: Any) -> int:
    """Return the exit code of a process forked for a function; negative for a signal."""
    process = processes.FORKS.Process(target=target, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the process did not end"
    return process.exitcode


def pack_until(benchmark: Benchmark, geometry: Geometry, moment: int, count_to: Path | None = None) -> None:
    """Pack, and be killed at the n-th change of the disk. With `count_to` the number of changes is written there."""
    changes = []
    kill = killed_at(moment)
    with disk_fault(lambda *change: (changes.append(change), kill(*change))):
        packed(benchmark, geometry)
    if count_to:
        count_to.write_text(str(len(changes)))
