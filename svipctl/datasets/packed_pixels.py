"""Pack the pixels of the deterministic part of a transform for every image, computed once and kept on disk.

A pack is a store (`svipctl.datasets.store`) in the folder `packed/<geometry>` next to the images, with a row (3, H, W)
for each image. It is used only while it equals the decoded images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
import torchvision
from PIL import features

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry, Pixels, Transform, decode, image_size
from svipctl.datasets.store import INDEX, Bytes, Store, StorePlan, Written, fill_store
from svipctl.datasets.workers import explained_lost_workers, load_items
from svipctl.errors import CheckFailed, DataError, shortened
from svipctl.types import ProgressCallback

# Images are decoded and flushed to the disk in blocks: small enough that Ctrl-C is prompt, large enough that flushing
# costs little.
BLOCK_BYTES = 8 * 2**20
_ADVICE = "free some space, or choose another --data-dir; training works without packed pixels"


class PackedImages(Store):
    """The pixels of a finished pack, read by image file."""

    def pixels(self, file: str) -> Pixels:
        """Return the pixels of an image under the geometry, (H, W, 3)."""
        return self.read(file).transpose(1, 2, 0)


@dataclass(frozen=True)
class PackPlan:
    """A pack before it is finished."""

    benchmark: Benchmark
    geometry: Geometry
    store: StorePlan

    def __getitem__(self, rows: list[int]) -> Written | DataError | OSError:
        """Decode and write a block of images, in any process; an exception is returned, as `load_items` needs it."""
        try:
            return self.store.write(rows, map(self._decoded, rows))
        except (DataError, OSError) as error:
            return error

    def _decoded(self, row: int) -> Bytes:
        path = self.benchmark.root / self.store.files[row]
        pixels = self.geometry(decode(path, upright=self.benchmark.upright)).transpose(2, 0, 1)
        if pixels.shape != self.store.shapes[row]:
            raise DataError(f"image {path} changed while it was being packed", todo="run the command again")
        return pixels


def geometries(transform: Transform) -> tuple[Geometry, ...]:
    """Return the geometries that a configuration reads: that of training, then that of evaluation if it differs."""
    evaluation = transform.for_evaluation.training_geometry
    return tuple(dict.fromkeys((transform.training_geometry, evaluation)))


def images_packed(benchmark: Benchmark, geometry: Geometry) -> tuple[str, ...]:
    """Return the images in a pack: all for a geometry of evaluation, else those that may be trained on."""
    if geometry.resize != "none":
        return benchmark.images
    return tuple(benchmark.files(np.sort(benchmark.trainval)))


def stamp_of(benchmark: Benchmark, geometry: Geometry) -> dict[str, Any]:
    """Return everything that pixels depend on: the geometry, the decoders, and the name, size and time of each image
    file.
    """
    digest = hashlib.sha256()
    for file in images_packed(benchmark, geometry):
        digest.update(f"{file}\0{_size_and_time(benchmark.root / file)}\n".encode())
    software = {"pillow": PIL.__version__, "jpeg": features.version("jpg"), "torchvision": torchvision.__version__}
    turned = {"orientation": "upright"} if benchmark.upright else {}
    return {"geometry": geometry.key, "software": software, "source": digest.hexdigest(), **turned}


def pack_folder(root: Path, geometry: Geometry) -> Path:
    """Return the folder of the pack of a geometry."""
    return root / "packed" / geometry.key


def find_pack(benchmark: Benchmark, geometry: Geometry) -> tuple[PackedImages | None, str]:
    """Find the pack of a geometry.

    Returns:
        The pack, or None if no pack equals the images; and a note for the user if there is a pack that does
        not, else "".

    """
    folder = pack_folder(benchmark.root, geometry)
    if not (folder / INDEX).exists():
        others = sorted(path.parent.name for path in folder.parent.glob(f"[!.]*/{INDEX}"))
        why = f"there is none for this transform, only for {', '.join(others)}"
        return None, _unused(folder, why) if others else ""
    try:
        pack = PackedImages(folder)
    except DataError as error:
        return None, _unused(folder, f"{error.what}: {error.why}")
    now = {**stamp_of(benchmark, geometry), "files": list(images_packed(benchmark, geometry))}
    changed = [key for key, value in now.items() if pack.index.get(key) != value]
    if not changed:
        return pack, ""
    why = "images were changed, added or removed"
    if "software" in changed:
        why = "the image libraries have changed"
    elif "orientation" in changed:
        why = "they were packed without EXIF orientation"
    return None, _unused(folder, why)


def plan_pack(benchmark: Benchmark, geometry: Geometry) -> PackPlan:
    """Plan a pack; only the headers of images are read, and only if their sizes differ.

    Raises:
        DataError: An image is missing or is not an image.

    """
    files = images_packed(benchmark, geometry)
    if geometry.resize == "none":
        sizes = (image_size(benchmark.root / file, upright=benchmark.upright) for file in files)
        shapes = tuple((3, height, width) for width, height in sizes)
    else:
        shapes = ((3, geometry.size, geometry.size),) * len(files)
    folder, stamp = pack_folder(benchmark.root, geometry), stamp_of(benchmark, geometry)
    store = StorePlan(folder, stamp, files, shapes, "packed pixels", _ADVICE)
    return PackPlan(benchmark, geometry, store)


def pack(
    plan: PackPlan, *, workers: int = 1, force: bool = False, progress: ProgressCallback | None = None
) -> Literal["fresh", "packed", "resumed"]:
    """Create a pack unless there is one that equals the images.

    Args:
        plan: Plan of `plan_pack`.
        workers: Processes that decode; 1 decodes in this process.
        force: Start again even if a pack exists.
        progress: Called with images done and images in total.

    Returns:
        `fresh` if the pack existed, `packed` if it was created, `resumed` if unfinished work was continued.

    Raises:
        DataError: An image is missing, does not decode, or changes while it is packed.
        ResourceError: The disk is too small or full, or a process was killed.
        ConfigError: The folder cannot be written, or another process is packing.

    """

    def decode_missing(missing: list[int]) -> Iterator[Written]:
        images = max(1, BLOCK_BYTES * len(plan.store.files) // plan.store.bytes)  # in a block of average images
        blocks = [missing[start : start + images] for start in range(0, len(missing), images)]
        processes = min(workers, len(blocks))
        with closing(load_items(plan, blocks, workers=processes if processes > 1 else 0)) as written:
            yield from written
        if stamp_of(plan.benchmark, plan.geometry) != plan.store.stamp:
            raise DataError("images have changed while they were packed", todo="run the command again")

    with explained_lost_workers("run the command again; it keeps finished images", fewer="--workers 1"):
        outcome = fill_store(plan.store, decode_missing, force=force, progress=progress)
    return "packed" if outcome == "created" else outcome


def check_pack(
    benchmark: Benchmark, geometry: Geometry, *, images: int | None, progress: ProgressCallback | None = None
) -> int:
    """Compare the checksum of every image, then decode images again and compare them bit for bit.

    Args:
        benchmark: Data set of the images.
        geometry: Geometry of the pack.
        images: Number of images to decode, always the same ones; None for all.
        progress: Called with images compared and images to compare.

    Returns:
        Number of images compared.

    Raises:
        DataError: There is no usable pack.
        CheckFailed: The pack does not equal the images; the error names them.

    """
    pack, note = find_pack(benchmark, geometry)
    if pack is None:
        raise DataError(
            f"{benchmark.name} has no packed pixels of {geometry.key} to check",
            why=note,
            todo="pack it: the same command without --verify",
        )
    damaged = set(pack.damaged())
    wrong = [f"the checksum does not match: {file}" for file in sorted(damaged)]
    sample = [pack.files[row] for row in np.random.default_rng(0).permutation(len(pack.files))[:images]]
    for done, file in enumerate(sample, 1):
        if file not in damaged and not np.array_equal(
            geometry(decode(benchmark.root / file, upright=benchmark.upright)), pack.pixels(file)
        ):
            wrong.append(f"decoding yields other pixels: {file}")
        if progress:
            progress(done, len(sample))
    if wrong:
        raise CheckFailed(
            f"packed pixels {pack.folder} differ from the images",
            why=shortened(wrong, 20, "\n"),
            todo="pack again: the same command with --force instead of --verify",
        )
    return len(sample)


def _unused(folder: Path, why: str) -> str:
    instead = "images are decoded instead"
    return f"packed pixels {folder} are not used, {instead}: {why}; run `svipctl data pack` to pack them again"


def _size_and_time(path: Path) -> str:
    """Return the size and time of a file; empty for a missing image, which is reported when it is read."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
