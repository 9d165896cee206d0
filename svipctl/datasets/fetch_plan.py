"""What bringing benchmarks onto this machine takes, asset by asset; nothing is fetched or written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svipctl.datasets.assets import Asset, Manifest, assets_of, built_in
from svipctl.datasets.download import addresses, check_mirror
from svipctl.errors import DataError

_TOP_FOLDERS = {"cub": "CUB_200_2011", "awa2": "Animals_with_Attributes2", "sun": "SUNAttributeDB"}


@dataclass(frozen=True)
class Step:
    """One asset of a benchmark, and what fetching it takes."""

    dataset: str
    asset: Asset
    state: str
    """`installed`, `unpack` (the archive is there) or `download`."""
    source: Path | None = None
    """An archive or an unpacked folder of the user's."""
    address: str = ""
    """Where it is downloaded from first."""

    def document(self) -> dict[str, Any]:
        """For `--dry-run`."""
        return {
            "dataset": self.dataset,
            "asset": self.asset.name,
            "state": self.state,
            "bytes": self.asset.bytes_to_fetch if self.state == "download" else 0,
            "from": str(self.source) if self.source else self.address,
            "licence": self.asset.licence,
        }


def stamp_path(data_dir: Path, dataset: str, asset: Asset) -> Path:
    """The file that says that an asset of a benchmark is whole."""
    return data_dir / dataset / ".assets" / f"{asset.name}.json"


def mending_command(dataset: str, data_dir: Path, *, broken: bool = False) -> str:
    """What to type where files of a benchmark are missing or, as far as is known, `broken`.

    What has no stamp is fetched in any case, so an interrupted fetch goes on; what has one only with --again.
    """
    stamps = [stamp_path(data_dir, dataset, asset) for asset in assets_of(dataset, built_in())]
    again = broken or all(stamp.exists() for stamp in stamps)
    return f"svipctl data fetch {dataset}" + (" --again" if again else "")


def plan_fetch(
    datasets: Sequence[str],
    data_dir: Path,
    *,
    source: Path | None = None,
    manifest: Manifest | None = None,
    again: bool = False,
    mirrors: Sequence[str] = (),
) -> list[Step]:
    """What there is to do, asset by asset.

    Args:
        datasets: Of `cub`, `awa2`, `sun`.
        data_dir: Folder of the data sets.
        source: Archives, or unpacked folders in the official layout, that the user already has.
        manifest: Of `svipctl.datasets.assets`.
        again: Also what is installed.
        mirrors: Base addresses to download from in place of the assets' own.

    Raises:
        ConfigError: A mirror is no address.
        DataError: `source` is not there, or has nothing of these benchmarks.

    """
    for mirror in mirrors:
        check_mirror(mirror)
    if source is not None and not source.exists():
        raise DataError(f"there is no {source}", todo="name a folder with archives, an archive, or an unpacked folder")
    steps = []
    for dataset in datasets:
        for asset in assets_of(dataset, manifest or built_in()):
            given = _given(source, asset, dataset) if source is not None else None
            if stamp_path(data_dir, dataset, asset).exists() and not again:
                state = "installed"
            elif given is not None or (data_dir / ".archives" / asset.file).exists():
                state = "unpack"
            else:
                state = "download"
            steps.append(Step(dataset, asset, state, given, addresses(asset, mirrors)[0]))
    if source is not None and not any(step.source for step in steps):
        files = ", ".join(sorted({step.asset.file for step in steps}))
        raise DataError(
            f"{source} has nothing of {', '.join(datasets)}",
            why=f"looked for {files}, and for the folders they unpack to",
            todo=f"leave --from out to download, or look into {source}",
        )
    return steps


def _given(source: Path, asset: Asset, dataset: str) -> Path | None:
    """Where the user has an asset: the archive itself, a folder with it, or with what it unpacks to."""
    if source.is_file():
        return source if source.name == asset.file else None
    if (source / asset.file).is_file():
        return source / asset.file
    return source if any((source / part).exists() for part in parts_of(asset, dataset)) else None


def parts_of(asset: Asset, dataset: str) -> list[str]:
    """What an asset unpacks to, below the benchmark's folder."""
    if asset.keep:
        return [str(Path(asset.patterns(dataset)[0]).parent)]
    if asset.name == "sun-images":
        return ["images"]
    return [_TOP_FOLDERS[dataset], *(["attributes.txt"] if dataset == "cub" else [])]
