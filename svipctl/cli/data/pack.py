"""Implement `svipctl data pack`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from svipctl.cli._command import Dataset, Overrides, command, option, sink
from svipctl.cli._runs import open_dataset
from svipctl.errors import CheckFailed, ConfigError
from svipctl.settings import effects, flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.datasets.images import Geometry

_SAMPLE = 200
_GIB = 2**30


@command(
    *(flags.RECIPE, flags.BACKBONE.with_help("Backbone whose input size is used.")),
    *(flags.ALLOW_PARTIAL, flags.DATA_DIR),
    reads=effects.PACKING,
)
def pack(
    dataset: Dataset,
    *,
    overrides: Overrides,
    workers: int | None = option(None, "Decoding processes. (default: one per CPU core)", min=1),
    force: bool = option(False, "Pack again, replacing existing packs."),
    verify: bool = option(False, f"Check every checksum and decode {_SAMPLE} images again; pack nothing."),
    verify_all: bool = option(False, "Check every checksum and decode all images again; pack nothing."),
    dry_run: bool,
) -> None:
    """Decode and resize all images once.

    Training and evaluation then read the pixels from one file.

    The pack depends on the settings: use the flags that you train with. Interrupted work is continued.

    Examples:
        svipctl data pack cub
        svipctl data pack sun --dry-run
        svipctl data pack cub --verify

    """
    if dry_run and (verify or verify_all):
        raise ConfigError("a check writes nothing, so --dry-run has no effect", todo="omit --dry-run")

    settings = overrides.resolve(dataset).settings
    check_inputs(settings)

    from svipctl.cpu_count import processor_count
    from svipctl.datasets.packed_pixels import geometries
    from svipctl.datasets.registry import pictures_to_draw
    from svipctl.training.setup import image_size, transform_of

    wanted = geometries(transform_of(settings, image_size(settings)))
    to_draw = pictures_to_draw(settings.dataset, settings.data_dir)
    if to_draw and dry_run:
        plan = {"dataset": dataset, "pictures_to_draw": to_draw, "packs": []}
        sink.plan(plan, f"{to_draw} images would be generated, then packed")
        return
    benchmark = open_dataset(settings)
    sink.warn_each(benchmark.warnings)
    if verify or verify_all:
        _check(benchmark, wanted, None if verify_all else _SAMPLE)
        return
    processes = None if dry_run else workers or processor_count()
    document = {"dataset": benchmark.name, "packs": [_pack(benchmark, one, processes, force) for one in wanted]}
    sink.document({"dry_run": True, "pictures_to_draw": 0, **document} if dry_run else document)


def _pack(benchmark: Benchmark, geometry: Geometry, workers: int | None, force: bool) -> dict[str, Any]:
    """Pack the pixels of a geometry, or only plan it without `workers`, and return its entry of the document."""
    from svipctl.datasets.packed_pixels import pack as make
    from svipctl.datasets.packed_pixels import plan_pack
    from svipctl.files import free_disk_space

    plan = plan_pack(benchmark, geometry)
    needs: dict[str, int] = {}
    if workers is None:
        is_fresh = not force and plan.store.find() is not None
        state = "fresh" if is_fresh else "unfinished" if not force and plan.store.find(is_finished=False) else "to pack"
        needed, free = 0 if is_fresh else plan.store.bytes_to_write(force=force), free_disk_space(benchmark.root)
        needs = {"bytes_needed": needed, "bytes_free": free}
        state_text = f", {state}; needs {needed / _GIB:.2f} GiB more, {free / _GIB:.2f} GiB are free"
    else:
        with sink.progress(f"packing {geometry.key}") as progress:
            state = make(plan, workers=workers, force=force, progress=progress)
        state_text = ", up to date" if state == "fresh" else ""
    folder, images, size = str(plan.store.folder), len(plan.store.files), plan.store.bytes
    sink.say(f"{geometry.key}: {images} images, {size / _GIB:.2f} GiB in {folder}{state_text}")
    return {"transform": geometry.key, "folder": folder, "state": state, "images": images, "bytes": size, **needs}


def _check(benchmark: Benchmark, wanted: Sequence[Geometry], images: int | None) -> None:
    """Check each pack; the first failure is the error, and the document lists all."""
    from svipctl.datasets.packed_pixels import check_pack, pack_folder

    packs: list[dict[str, Any]] = []
    document = {"dataset": benchmark.name, "packs": packs}
    failed = None
    for geometry in wanted:
        packs.append({"transform": geometry.key, "folder": str(pack_folder(benchmark.root, geometry))})
        try:
            with sink.progress(f"checking {geometry.key}") as progress:
                compared = check_pack(benchmark, geometry, images=images, progress=progress)
        except CheckFailed as error:
            failed = failed or error
            packs[-1]["state"] = "damaged"
        else:
            packs[-1] |= {"state": "verified", "images_compared": compared}
            sink.say(f"{geometry.key}: all checksums match, {compared} decoded images are bit-identical")
    if failed is not None:
        failed.document = document
        raise failed
    sink.document(document)
