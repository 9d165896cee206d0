"""What a pack would hold, what it needs, and how far an unfinished one has come."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry, Transform
from svipctl.datasets.pack_blocks import Blocks
from svipctl.datasets.packed import INDEX, PIXELS, find_pack, images_packed, pack_folder, stamp_of
from svipctl.errors import DataError

BLOCK_BYTES = 8 * 2**20  # small enough that Ctrl-C is prompt, large enough that flushing costs little
PLAN, RECORD = "plan.json", "finished.txt"
_LINE = re.compile(rb"(\d+) ([0-9a-f]{32})\n")


@dataclass(frozen=True)
class PackPlan:
    """A pack to be made."""

    benchmark: Benchmark
    blocks: Blocks
    stamp: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where it will lie."""
        return pack_folder(self.benchmark.root, self.blocks.geometry)

    @property
    def unfinished(self) -> Path:
        """Where it lies until it is whole."""
        return self.folder.with_name(f".{self.folder.name}.unfinished")

    @property
    def bytes(self) -> int:
        """Of its pixels."""
        return self.blocks.offsets()[-1]

    @property
    def head(self) -> dict[str, Any]:
        """What unfinished work must say of itself to be continued."""
        return {**self.stamp, "block_bytes": self.blocks.block_bytes}

    def is_fresh(self) -> bool:
        """Whether it is there already."""
        return find_pack(self.benchmark, self.blocks.geometry)[0] is not None

    def is_begun(self) -> bool:
        """Whether unfinished work of this very plan is there."""
        try:
            path = next(path for name in (INDEX, PLAN) if (path := self.unfinished / name).exists())
            found = json.loads(path.read_text(encoding="utf-8"))
            whole = (self.unfinished / PIXELS).stat().st_size == self.bytes
            return whole and {key: found[key] for key in self.head} == self.head
        except (StopIteration, OSError, ValueError, KeyError, TypeError):
            return False

    def recorded(self) -> dict[int, str]:
        """Checksums of the blocks that are on the disk, by number; a line cut short ends the record."""
        try:
            content = (self.unfinished / RECORD).read_bytes()
        except FileNotFoundError:
            return {}
        found, position = {}, 0
        while line := _LINE.match(content, position):
            found[int(line[1])] = line[2].decode()
            position = line.end()
        return found

    def bytes_to_write(self, *, force: bool = False) -> int:
        """Room that it still needs on the disk, less what it replaces."""
        continues = not force and self.is_begun()
        if continues and (self.unfinished / INDEX).exists():
            return 0
        offsets, bounds = self.blocks.offsets(), self.blocks.bounds()
        finished = [bounds[number] for number in self.recorded()] if continues else []
        written = sum(offsets[end] - offsets[first] for first, end in finished)
        replaced = [self.folder, *([] if continues else [self.unfinished])]
        freed = sum((path / PIXELS).stat().st_blocks * 512 for path in replaced if (path / PIXELS).exists())
        return max(0, self.bytes - written - freed)


def geometries(transform: Transform) -> tuple[Geometry, ...]:
    """What a configuration reads: the geometry of training and that of evaluation, once if they are the same."""
    evaluation = transform.for_evaluation.training_geometry
    return tuple(dict.fromkeys((transform.training_geometry, evaluation)))


def plan_pack(benchmark: Benchmark, geometry: Geometry, *, block_bytes: int = BLOCK_BYTES) -> PackPlan:
    """Plan a pack; of the images only the headers are read, and these only if sizes differ.

    Raises:
        DataError: An image is missing or is none.

    """
    files = images_packed(benchmark, geometry)
    if geometry.resize == "none":
        sizes = [_size(benchmark.root / file) for file in files]
    else:
        sizes = [(geometry.size, geometry.size)] * len(files)
    widths, heights = zip(*sizes)
    blocks = Blocks(benchmark.root, geometry, files, heights, widths, block_bytes)
    return PackPlan(benchmark, blocks, stamp_of(benchmark, geometry))


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image, from its header."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError as error:
        raise DataError(f"image {path} is missing") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"image {path} does not decode", why=str(error), todo="replace it, or leave it out") from error
