"""Whether packed pixels are what decoding yields now."""

from __future__ import annotations

import numpy as np

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry, decode
from svipctl.datasets.pack_blocks import Blocks, checksum
from svipctl.datasets.packed import PIXELS, find_pack
from svipctl.errors import CheckFailed, DataError
from svipctl.types import ProgressCallback


def check_pack(
    benchmark: Benchmark, geometry: Geometry, *, images: int | None, progress: ProgressCallback | None = None
) -> int:
    """Compare the checksum of every block, then decode images again and compare them bit for bit.

    Args:
        benchmark: Where the images are.
        geometry: Of the pack.
        images: How many to decode, always the same ones; None for all.
        progress: Called with images compared and images to compare.

    Returns:
        Images compared.

    Raises:
        DataError: There is no fresh pack.
        CheckFailed: It does not hold what it should, naming images.

    """
    pack, note = find_pack(benchmark, geometry)
    if pack is None:
        raise DataError(
            f"{benchmark.name} has no packed pixels of {geometry.key} to check",
            why=note,
            todo="run `svipctl data pack` without --verify first",
        )
    index = pack.index
    blocks = Blocks(
        benchmark.root,
        geometry,
        tuple(pack.files),
        tuple(index["heights"]),
        tuple(index["widths"]),
        index["block_bytes"],
    )
    offsets, wrong = blocks.offsets(), []
    pixels = np.memmap(pack.folder / PIXELS, np.uint8, "r")
    for (first, end), expected in zip(blocks.bounds(), index["checksums"], strict=True):
        if checksum(pixels[offsets[first] : offsets[end]]) != expected:
            wrong.append(f"a damaged block holds {pack.files[first]} to {pack.files[end - 1]}")
    count = len(pack.files) if images is None else min(images, len(pack.files))
    for done, row in enumerate(np.random.default_rng(0).permutation(len(pack.files))[:count], 1):
        file = pack.files[row]
        if not np.array_equal(geometry(decode(benchmark.root / file)), pack.pixels(file)):
            wrong.append(f"other pixels than decoding yields: {file}")
        if progress:
            progress(done, count)
    if wrong:
        more = [f"and {len(wrong) - 20} more"] if len(wrong) > 20 else []
        raise CheckFailed(
            f"packed pixels {pack.folder} are not what they should be",
            why="\n".join([*wrong[:20], *more]),
            todo="pack again: svipctl data pack DATASET --force",
        )
    return count
