"""Plan the steps of fetching benchmarks, one per asset, without downloading or writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from svipctl.datasets.fetch.assets import Asset, Manifest, assets_of, built_in
from svipctl.errors import ConfigError, DataError
from svipctl.quoting import shell_command

_TOP_FOLDERS = {"cub": "CUB_200_2011", "awa2": "Animals_with_Attributes2", "sun": "SUNAttributeDB"}


@dataclass(frozen=True)
class Step:
    """An asset of a benchmark, and the work that is left for it."""

    dataset: str
    asset: Asset
    state: str
    """`installed`, `unpack` (the archive is on the disk) or `download`."""
    archive: Path
    """The user's archive or unpacked folder, or the downloaded archive."""
    given: bool
    """True if the archive was passed by the user."""

    def row(self) -> list[str]:
        """Return the row of the table of `--dry-run`: asset, state, MB, source and licence."""
        asset = self.asset
        source = str(self.archive) if self.given else urlsplit(asset.mirrors[0]).netloc
        return [asset.name, self.state, f"{asset.bytes_to_fetch / 1e6:,.1f}", source, asset.licence]

    def document(self) -> dict[str, Any]:
        """Return the entry of the JSON document of `--dry-run`."""
        return {
            "dataset": self.dataset,
            "asset": self.asset.name,
            "state": self.state,
            "bytes": self.asset.bytes_to_fetch if self.state == "download" else 0,
            "from": str(self.archive) if self.given else self.asset.mirrors[0],
            "licence": self.asset.licence,
        }


def stamp_path(data_dir: Path, dataset: str, asset: Asset) -> Path:
    """Return the file that records that an asset is completely installed."""
    return data_dir / dataset / ".assets" / f"{asset.name}.json"


def repair_command(dataset: str, data_dir: Path, *, broken: bool = False) -> str:
    """Return the command that fetches missing files of a benchmark, or replaces `broken` ones.

    Assets without a stamp are always fetched, which continues an interrupted fetch; installed ones need --force.
    """
    again = broken or all(stamp_path(data_dir, dataset, asset).exists() for asset in assets_of(dataset, built_in()))
    return shell_command("data", "fetch", dataset, *(["--force"] if again else []))


def plan_fetch(
    datasets: Sequence[str],
    data_dir: Path,
    *,
    source: Path | None = None,
    manifest: Manifest | None = None,
    again: bool = False,
    mirrors: Sequence[str] = (),
) -> list[Step]:
    """Return the steps that fetch benchmarks.

    Args:
        datasets: Some of `cub`, `awa2`, `sun`.
        data_dir: Folder of the data sets.
        source: Archives, or unpacked folders in the official layout, of the user.
        manifest: Manifest of `svipctl.datasets.fetch.assets.manifest` (default: the built-in one).
        again: Fetch installed assets too.
        mirrors: Base addresses to download from in place of the assets' own.

    Raises:
        ConfigError: A mirror is not an http or https address, or files of `source` are unpacked where they would be
            installed.
        DataError: `source` does not exist, or contains nothing of these benchmarks.

    """
    for mirror in mirrors:
        _check_mirror(mirror)
    if source is not None and not source.exists():
        raise DataError(f"there is no {source}", todo="pass a folder with archives, an archive, or an unpacked folder")
    steps = []
    for dataset in datasets:
        for asset in assets_of(dataset, manifest or built_in()):
            given = _given(source, asset, dataset) if source else None
            archive = given or data_dir / ".archives" / asset.file
            state = "unpack" if archive.exists() else "download"
            if stamp_path(data_dir, dataset, asset).exists() and not again:
                state = "installed"
            if state != "installed" and archive.resolve() == (data_dir / dataset).resolve():
                raise ConfigError(
                    f"{archive} is the folder that the files are installed in",
                    why="files that you put there are used as they are",
                    todo=f"check them: {shell_command('data', 'status')}",
                )
            steps.append(Step(dataset, asset.moved_to(mirrors), state, archive, bool(given)))
    if source is not None and not any(step.given for step in steps):
        files = ", ".join(sorted({step.asset.file for step in steps}))
        raise DataError(
            f"{source} contains nothing of {', '.join(datasets)}",
            why=f"it contains none of {files}, and none of their folders",
            todo="omit --from to download, or pass another folder",
        )
    return steps


def bytes_needed(steps: Sequence[Step], *, keep_archives: bool = False) -> int:
    """Return the approximate number of bytes that steps need on the disk, without bytes that were already received."""
    to_come, unpacked = {}, {}
    for step in steps:
        part = step.archive.with_name(f"{step.archive.name}.part")
        size = step.archive.stat().st_size if step.archive.exists() else step.asset.bytes_to_fetch
        if step.state == "download":
            to_come[part] = max(0, size - (part.stat().st_size if part.exists() else 0))
        if not step.asset.keep:  # photographs do not grow when unpacked; of other archives little is kept
            unpacked[part] = size
    at_once = sum(to_come.values()) if keep_archives else max(to_come.values(), default=0)
    return at_once + sum(unpacked.values())


def parts_of(asset: Asset, dataset: str) -> list[str]:
    """Return the files and folders of an unpacked asset, relative to the benchmark's folder."""
    if asset.keep:
        return [str(Path(asset.patterns(dataset)[0]).parent)]
    if asset.name == "sun-images":
        return ["images"]
    return [_TOP_FOLDERS[dataset], *(["attributes.txt"] if dataset == "cub" else [])]


def _given(source: Path, asset: Asset, dataset: str) -> Path | None:
    """Return the user's archive of an asset, or the user's folder if it contains the unpacked asset."""
    if source.is_file():
        return source if source.name == asset.file else None
    if (source / asset.file).is_file():
        return source / asset.file
    return source if any((source / part).exists() for part in parts_of(asset, dataset)) else None


def _check_mirror(mirror: str) -> None:
    try:
        parts = urlsplit(mirror)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and mirror.split() == [mirror]
        why = "" if good else "it is not http:// or https:// and a server's name"
    except ValueError as error:  # brackets, or an invalid port
        why = str(error)
    if why:
        raise ConfigError(f"--mirror {mirror!r} is not an address", why=why, todo="--mirror https://SERVER/FOLDER")
