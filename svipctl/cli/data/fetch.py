"""Implement `svipctl data fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from svipctl.cli._command import Overrides, argument, command, option, sink
from svipctl.quoting import shell_command
from svipctl.settings import flags

_VECTORS = "word2vec-google-news-300"


@command(flags.OFFLINE, flags.DATA_DIR, layers=False)
def fetch(
    dataset: Literal["cub", "awa2", "sun", "all"] = argument("cub, awa2, sun or all."),
    *,
    overrides: Overrides,
    source: Path | None = option(
        None, "Archive, or folder of archives or unpacked folders, to use instead of downloading.", "--from"
    ),
    mirror: list[str] | None = option(None, "Base address to download from. Repeatable. (default: the official ones)"),
    manifest: Path | None = option(None, "TOML file of addresses and checksums, for mirrors that repack archives."),
    keep_archives: bool = option(False, "Keep archives after unpacking.", "--keep-archives/--no-keep-archives"),
    force: bool = option(False, "Fetch installed files again.", "--force", "--again"),
    dry_run: bool,
) -> None:
    """Download, check and unpack a benchmark.

    The proposed split is included. The same command continues an interrupted download.

    Examples:
        svipctl data fetch cub
        svipctl data fetch all --from ~/Downloads

    """
    settings = overrides.workspace()

    from svipctl.datasets.fetch import assets, install
    from svipctl.datasets.fetch.steps import plan_fetch
    from svipctl.datasets.names import OFFICIAL
    from svipctl.datasets.official import open_official
    from svipctl.files import free_disk_space

    names = list(OFFICIAL) if dataset == "all" else [dataset]
    found = assets.manifest(manifest)
    steps = plan_fetch(names, settings.data_dir, source=source, manifest=found, again=force, mirrors=mirror or ())
    if dry_run:
        sink.table("plan", ["asset", "state", "MB", "from", "licence"], [step.row() for step in steps])
        total = sum({s.asset.name: s.asset.bytes_to_fetch for s in steps if s.state == "download"}.values())
        free = free_disk_space(settings.data_dir)
        sink.say(f"to download: {total / 1e6:,.1f} MB; {free / 1e6:,.0f} MB are free; nothing was downloaded")
        vectors = assets.built_in()[_VECTORS]
        sink.say(f"next, build the word vectors from {_VECTORS} ({vectors.bytes_to_fetch / 1e6:,.1f} MB):")
        following = "\n".join(f"  {shell_command('w2v', 'build', name, '--vectors', _VECTORS)}" for name in names)
        sink.plan({"bytes": total, "free": free, "steps": [step.document() for step in steps]}, following)
        return
    with sink.transfers() as progress:
        install.fetch(
            steps, settings.data_dir, keep_archives=keep_archives, offline=settings.offline, progress=progress
        )
    done = []
    for name in names:
        benchmark = open_official(name, settings.data_dir, allow_partial=source is not None)
        images, missing = len(benchmark.images), len(benchmark.missing)
        sink.say(f"{name}: {images:,} images of {len(benchmark.classes)} classes in {benchmark.root}")
        if missing:
            sink.warn(f"{missing:,} of {images + missing:,} images of {name} are missing; train with --allow-partial")
        done.append({"dataset": name, "images": images, "missing": missing, "folder": str(benchmark.root)})
    sink.document({"datasets": done})
