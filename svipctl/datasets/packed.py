"""Reading packed pixels: which pack belongs to a transform, whether it is still true to the images, and its pixels.

A pack is a folder `packed/<geometry>` beside the images with `pixels.bin` (uint8, each image as (3, H, W), one after
the other) and `index.json`. `svipctl.datasets.pack` writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torchvision
from numpy.typing import NDArray
from PIL import features
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.byte_file import ByteFile
from svipctl.datasets.images import Geometry, Pixels

FORMAT = 1
PIXELS, INDEX = "pixels.bin", "index.json"


class PackedImages:
    """The pixels of a finished pack, read by position.

    Args:
        folder: Of the pack.

    Raises:
        OSError, ValueError, KeyError, TypeError: It is not a whole pack.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        self.files: list[str] = self.index["files"]
        heights, widths = self.index["heights"], self.index["widths"]
        self.offsets = offsets_of(heights, widths)
        self._row = {file: row for row, file in enumerate(self.files)}
        self._shapes = [(3, height, width) for height, width in zip(heights, widths, strict=True)]
        if len(self._shapes) != len(self.files) or (folder / PIXELS).stat().st_size != self.offsets[-1]:
            raise ValueError("its index and its pixels do not fit each other")
        self._pixels = ByteFile(folder / PIXELS)

    def __reduce__(self) -> tuple[type[PackedImages], tuple[Path]]:
        """A worker process opens the file itself."""
        return PackedImages, (self.folder,)

    @property
    def stamp(self) -> dict[str, Any]:
        """What `stamp_of` was when it was packed."""
        return {key: self.index[key] for key in ("format", "geometry", "software", "source")}

    def stored(self, file: str) -> NDArray[np.uint8]:
        """An image as it lies in the file: (3, H, W)."""
        row = self._row[file]
        pixels = np.empty(self._shapes[row], dtype=np.uint8)
        self._pixels.read_into(pixels, self.offsets[row])
        return pixels

    def gather(self, files: Sequence[str], out: Tensor) -> None:
        """Copy images of a pack in which all have one size into uint8 (B, 3, H, W)."""
        for file, place in zip(files, out.numpy(), strict=True):
            self._pixels.read_into(place, self.offsets[self._row[file]])

    def pixels(self, file: str) -> Pixels:
        """What the geometry yields for an image: (H, W, 3)."""
        return self.stored(file).transpose(1, 2, 0)


def pack_folder(root: Path, geometry: Geometry) -> Path:
    """Where the pack of a geometry lies."""
    return root / "packed" / geometry.key


def offsets_of(heights: Sequence[int], widths: Sequence[int]) -> list[int]:
    """Where each image begins in the file of pixels, in bytes; last its length."""
    sizes = 3 * np.array(heights, dtype=np.int64) * np.array(widths, dtype=np.int64)
    return [0, *np.cumsum(sizes).tolist()]


def images_packed(benchmark: Benchmark, geometry: Geometry) -> tuple[str, ...]:
    """The images in a pack: all for the geometry of evaluation, else those that may be trained on."""
    if geometry.resize == "shorter-side":
        return benchmark.images
    return tuple(benchmark.images[index] for index in np.sort(benchmark.trainval))


def stamp_of(benchmark: Benchmark, geometry: Geometry) -> dict[str, Any]:
    """All that a pack's pixels depend on: the format, the geometry, the decoders, and each image's name, size and time."""
    digest = hashlib.sha256()
    for file in images_packed(benchmark, geometry):
        digest.update(f"{file}\0{_size_and_time(benchmark.root / file)}\n".encode())
    software = {"pillow": PIL.__version__, "jpeg": features.version("jpg"), "torchvision": torchvision.__version__}
    return {"format": FORMAT, "geometry": geometry.key, "software": software, "source": digest.hexdigest()}


def find_pack(benchmark: Benchmark, geometry: Geometry) -> tuple[PackedImages | None, str]:
    """The pack of a geometry if it can be used, and a remark for the user if there is one that cannot.

    Returns:
        The pack or None, and the remark or "".

    """
    folder = pack_folder(benchmark.root, geometry)
    if not (folder / INDEX).exists():
        others = sorted(path.parent.name for path in folder.parent.glob(f"[!.]*/{INDEX}"))
        if not others:
            return None, ""
        return None, _unused(folder, f"there is none of this transform, only of {', '.join(others)}")
    try:
        pack = PackedImages(folder)
        packed = pack.stamp
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, _unused(folder, f"it is damaged: {error}")
    now = stamp_of(benchmark, geometry)
    if packed == now and tuple(pack.files) == images_packed(benchmark, geometry):
        return pack, ""
    reasons = {"format": "another version of svipctl packed it", "software": "the image libraries have changed"}
    changed = next((key for key in packed if packed[key] != now[key]), "")
    return None, _unused(folder, reasons.get(changed, "images were changed, added or removed since"))


def _unused(folder: Path, why: str) -> str:
    return (
        f"packed pixels {folder} are not used, images are decoded instead: {why}; `svipctl data pack` makes them anew"
    )


def _size_and_time(path: Path) -> str:
    """Empty for a missing image: whoever reads that one will say so."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
