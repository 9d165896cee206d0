"""Implement `svipctl data fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.quoting import shell_command
from svipctl.settings import flags

_VECTORS = "word2vec-google-news-300"


@command(flags.OFFLINE, flags.DATA_DIR, dry_run=True, layers=False)
def fetch(
    dataset: Annotated[
        Literal["cub", "awa2", "sun", "all"], typer.Argument(help="cub, awa2, sun or all.", show_default=False)
    ],
    *,
    overrides: Overrides,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Use these archives or unpacked folders instead of downloading."),
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option("--mirror", help="Base address to download from. Repeatable. (default: the official ones)"),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", help="TOML file of addresses and checksums, for mirrors that repack archives."),
    ] = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives/--no-keep-archives", help="Keep archives after unpacking.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Fetch installed files again.")] = False,
    dry_run: bool,
) -> None:
    """Download, check and unpack a benchmark.

    The proposed split is included. The same command continues an interrupted download.

    Examples:
        svipctl data fetch cub
        svipctl data fetch all --from ~/Downloads

    """
    settings = overrides.workspace()

    from svipctl.datasets.fetch.assets import built_in
    from svipctl.datasets.fetch.assets import manifest as read_manifest
    from svipctl.datasets.fetch.install import fetch as fetch_steps
    from svipctl.datasets.fetch.steps import plan_fetch
    from svipctl.datasets.names import OFFICIAL
    from svipctl.datasets.official import missing_images, open_official
    from svipctl.files import free_disk_space

    names = list(OFFICIAL) if dataset == "all" else [dataset]
    found = read_manifest(manifest)
    steps = plan_fetch(names, settings.data_dir, source=source, manifest=found, again=again, mirrors=mirror or ())
    if dry_run:
        sink.table("plan", ["asset", "state", "MB", "from", "licence"], [step.row() for step in steps])
        total = sum({s.asset.name: s.asset.bytes_to_fetch for s in steps if s.state == "download"}.values())
        free = free_disk_space(settings.data_dir)
        sink.say(f"to download: {total / 1e6:,.1f} MB; {free / 1e6:,.0f} MB are free; nothing was downloaded")
        vectors = built_in()[_VECTORS]
        sink.say(f"next, build the word vectors from {_VECTORS} ({vectors.bytes_to_fetch / 1e6:,.1f} MB):")
        sink.say("\n".join(f"  {shell_command('w2v', 'build', name, '--vectors', _VECTORS)}" for name in names))
        sink.document({"dry_run": True, "bytes": total, "free": free, "steps": [step.document() for step in steps]})
        return
    with sink.transfers() as progress:
        fetch_steps(
            steps,
            settings.data_dir,
            keep_archives=keep_archives,
            offline=settings.offline,
            progress=progress,
        )
    done = []
    for name in names:
        missing, total = missing_images(name, settings.data_dir)
        benchmark = open_official(name, settings.data_dir, allow_partial=source is not None)
        images = len(benchmark.images)
        sink.say(f"{name}: {images:,} images of {len(benchmark.classes)} classes in {benchmark.root}")
        if missing:
            sink.warn(f"{len(missing):,} of {total:,} images of {name} are missing; train with --allow-partial")
        done.append({"dataset": name, "images": images, "missing": len(missing), "folder": str(benchmark.root)})
    sink.document({"datasets": done})
