"""`svipctl data pack`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import CheckFailed, ConfigError
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.datasets.images import Geometry

_SAMPLE = 200
_GIB = 2**30


@command(
    *(flags.RECIPE, flags.BACKBONE.with_help("Backbone, whose input size is what images are resized to.")),
    *(flags.ALLOW_PARTIAL, flags.DATA_DIR),
    dry_run=True,
)
def pack(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes that decode. (default: one per CPU core)")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Pack again what is packed already.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help=f"Only check: every checksum, and {_SAMPLE} images decoded again.")
    ] = False,
    verify_all: Annotated[
        bool, typer.Option("--verify-all", help="Only check: every checksum, and every image decoded again.")
    ] = False,
    dry_run: bool,
) -> None:
    """Decode and resize all images once; training and evaluation then read the pixels from one file.

    Packed are the pixels that these settings need: give the flags that you train with. Interrupted work is continued.

    Examples:
        svipctl data pack cub
        svipctl data pack sun --dry-run
        svipctl data pack cub --verify

    """
    if dry_run and (verify or verify_all):
        raise ConfigError("a check writes nothing, with or without --dry-run", todo="leave out --dry-run")

    settings = overrides.resolve(dataset).settings

    from svipctl.datasets.official import partial_warning
    from svipctl.datasets.pixels import geometries
    from svipctl.datasets.registry import open_benchmark, pictures_to_draw
    from svipctl.training.setup import image_size, transform_of

    wanted = geometries(transform_of(settings, image_size(settings)))
    to_draw = pictures_to_draw(settings.dataset, settings.data_dir)
    if to_draw and dry_run:
        sink.say(f"{to_draw} pictures would be drawn, then packed")
        sink.document({"dry_run": True, "dataset": dataset, "pictures_to_draw": to_draw, "packs": []})
        return
    with sink.progress(f"drawing {dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset, settings.data_dir, progress, allow_partial=settings.data.allow_partial
        )
    if benchmark.missing:
        sink.warn(partial_warning(benchmark))
    if dry_run:
        packs = [_planned(benchmark, geometry, force) for geometry in wanted]
        sink.document({"dry_run": True, "dataset": benchmark.name, "pictures_to_draw": 0, "packs": packs})
    elif verify or verify_all:
        _check(benchmark, wanted, None if verify_all else _SAMPLE)
    else:
        packs = [_packed(benchmark, geometry, workers or _cores(), force) for geometry in wanted]
        sink.document({"dataset": benchmark.name, "packs": packs})


def _planned(benchmark: Benchmark, geometry: Geometry, force: bool) -> dict[str, Any]:
    import shutil

    from svipctl.datasets.pixels import plan_pack

    plan = plan_pack(benchmark, geometry).store
    fresh = not force and plan.find() is not None
    state = "fresh" if fresh else "unfinished" if not force and plan.is_begun() else "to pack"
    needed, free = 0 if fresh else plan.bytes_to_write(force=force), shutil.disk_usage(benchmark.root).free
    sink.say(
        f"{geometry.key}: {len(plan.files)} images, {plan.bytes / _GIB:.2f} GiB in {plan.folder}, {state}; "
        f"needs {needed / _GIB:.2f} GiB more, {free / _GIB:.2f} GiB are free"
    )
    return {
        "transform": geometry.key,
        "folder": str(plan.folder),
        "state": state,
        "images": len(plan.files),
        "bytes": plan.bytes,
        "bytes_needed": needed,
        "bytes_free": free,
    }


def _packed(benchmark: Benchmark, geometry: Geometry, workers: int, force: bool) -> dict[str, Any]:
    from svipctl.datasets.pixels import pack as make
    from svipctl.datasets.pixels import plan_pack

    wanted = plan_pack(benchmark, geometry)
    plan = wanted.store
    with sink.progress(f"packing {geometry.key}") as progress:
        state = make(wanted, workers=workers, force=force, progress=progress)
    sink.say(
        f"{geometry.key}: {len(plan.files)} images, {plan.bytes / _GIB:.2f} GiB in {plan.folder}"
        + (", fresh already" if state == "fresh" else "")
    )
    return {
        "transform": geometry.key,
        "folder": str(plan.folder),
        "state": state,
        "images": len(plan.files),
        "bytes": plan.bytes,
    }


def _check(benchmark: Benchmark, wanted: Sequence[Geometry], images: int | None) -> None:
    """Check each pack; the first that fails is the error, and the document has all."""
    from svipctl.datasets.pixels import pack_folder

    packs, failed = [], None
    for geometry in wanted:
        try:
            packs.append(_checked(benchmark, geometry, images))
        except CheckFailed as error:
            failed = failed or error
            folder = str(pack_folder(benchmark.root, geometry))
            packs.append({"transform": geometry.key, "folder": folder, "state": "damaged"})
    document = {"dataset": benchmark.name, "packs": packs}
    if failed is not None:
        failed.document = document
        raise failed
    sink.document(document)


def _checked(benchmark: Benchmark, geometry: Geometry, images: int | None) -> dict[str, Any]:
    from svipctl.datasets.pixels import check_pack, pack_folder

    with sink.progress(f"checking {geometry.key}") as progress:
        compared = check_pack(benchmark, geometry, images=images, progress=progress)
    sink.say(f"{geometry.key}: every checksum is right, {compared} images decoded again are equal bit for bit")
    folder: Path = pack_folder(benchmark.root, geometry)
    return {"transform": geometry.key, "folder": str(folder), "state": "verified", "images_compared": compared}


def _cores() -> int:
    """CPU cores this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
