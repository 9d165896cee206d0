"""Bringing a benchmark onto this machine: download, unpack, put in place; each asset whole or not there.

    data/.archives/<file>            what is downloaded, or a .part of it; deleted after it is unpacked unless kept
    data/<name>/.unpacking/<asset>/  what is unpacked and not in place yet
    data/<name>/.assets/<asset>.json written last: the asset is whole, where it came from, and its files' sizes

Whatever cuts this short, the same command goes on where it stood.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from svipctl.datasets.archive import unpack
from svipctl.datasets.assets import Asset, Manifest, assets_of, built_in
from svipctl.datasets.download import address_of, addresses, alone, check_mirror, download, problem_of
from svipctl.datasets.matlab import read_mat
from svipctl.datasets.side_by_side import side_by_side
from svipctl.datasets.transfer import origin_of
from svipctl.errors import DataError, NetworkError, ResourceError, explained_disk_errors

Progress = Callable[[str, int, int], None]
"""Asset and what is done with it, units done, units in all (0 while unknown)."""

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


def fetch(
    steps: Sequence[Step],
    data_dir: Path,
    *,
    mirrors: Sequence[str] = (),
    keep_archives: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
    wait: Callable[[float], object] | None = None,
) -> None:
    """Do what `plan_fetch` found; downloads run side by side, unpacking one after the other.

    Raises:
        NetworkError: A download failed, or is needed and forbidden. What is there already stays.
        DataError: An archive is damaged or refused.
        ResourceError: The disk is too small.

    """
    told = progress or (lambda what, done, total: None)
    missing = {step.asset.name: step.asset for step in steps if step.state == "download"}
    if offline and missing:
        raise NetworkError(
            f"{', '.join(asset.file for asset in missing.values())} would have to be downloaded, and --offline forbids it",
            todo="leave --offline out, or give the files: --from FOLDER",
        )
    _check_room(steps, data_dir)
    archives = data_dir / ".archives"
    stopping = threading.Event()

    def download_one(asset: Asset) -> Path:
        def go_on() -> None:
            if stopping.is_set():
                raise NetworkError(f"the download of {asset.file} was stopped", todo="run the same command again")

        def tell(done: int, total: int) -> None:
            go_on()
            told(f"downloading {asset.file}", done, total)

        def pause(seconds: float) -> None:
            (wait or stopping.wait)(seconds)
            go_on()

        return download(asset, archives, mirrors=mirrors, progress=tell, wait=pause)

    with _alone_in(data_dir):
        running = side_by_side({name: partial(download_one, asset) for name, asset in missing.items()})
        try:
            for step in steps:
                if step.state == "installed":
                    continue
                if step.asset.name in running:
                    running[step.asset.name].result()
                _install(step, data_dir, keep_archives, told)
        except BaseException as error:
            stopping.set()
            for unfinished in running.values():
                unfinished.cancel()
            if isinstance(error, Exception):  # after Ctrl-C nobody waits for a server that has fallen silent
                futures.wait(running.values())
            raise
        if not keep_archives and any(step.state != "installed" for step in steps):  # else they were kept on purpose
            for name in {step.asset.file for step in steps}:
                _remove_archive(archives / name)
            if archives.is_dir() and not any(archives.iterdir()):
                archives.rmdir()


@contextmanager
def _alone_in(data_dir: Path) -> Iterator[None]:
    """Two processes do not unpack into one folder, nor delete what the other still needs."""
    with explained_disk_errors(f"data sets in {data_dir}"):
        data_dir.mkdir(parents=True, exist_ok=True)
    with alone(data_dir / ".fetch.lock", f"fetching into {data_dir}"):
        yield


def _remove_archive(path: Path) -> None:
    path.unlink(missing_ok=True)
    origin_of(path).unlink(missing_ok=True)


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def _install(step: Step, data_dir: Path, keep_archives: bool, progress: Progress) -> None:
    root = data_dir / step.dataset
    unpacked = root / ".unpacking" / step.asset.name
    if step.source is not None and step.source.is_dir():
        _copy_folder(step, unpacked, progress)
    else:
        archive = step.source or data_dir / ".archives" / step.asset.file
        problem = problem_of(step.asset, archive) if step.source is not None else ""
        if problem:
            raise DataError(f"{archive} is not {step.asset.file}", why=problem, todo="leave --from out to download it")
        shared = len(step.asset.datasets) > 1
        consume = step.source is None and not keep_archives and not shared
        named = _named(progress, f"unpacking {step.asset.file}")
        try:
            unpack(archive, unpacked, step.asset, dataset=step.dataset, consume=consume, progress=named)
        except DataError as error:
            if step.source is not None:
                raise
            _remove_archive(archive)  # or the next run would meet it again
            raise DataError(
                error.what, why=error.why, todo="it is deleted; the same command downloads it again"
            ) from error
    with explained_disk_errors(f"the data set in {root}"):
        _leave_features_out(unpacked)
        files = _put_in_place(unpacked, root)
        if not files:
            raise DataError(
                f"{step.asset.file} has nothing that {step.dataset} needs", todo="get it from its official source"
            )
        stamp = {
            "asset": step.asset.name,
            "from": step.source.name if step.source else address_of(data_dir / ".archives" / step.asset.file),
            "sha256": step.asset.sha256,
            "md5": step.asset.md5,
            "installed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "files": files,
        }
        path = stamp_path(data_dir, step.dataset, step.asset)
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_text(json.dumps(stamp) + "\n", encoding="utf-8")
        os.sync()
        unfinished.replace(path)
        shutil.rmtree(unpacked)
        if not any(unpacked.parent.iterdir()):
            unpacked.parent.rmdir()


def _leave_features_out(unpacked: Path) -> None:
    """Write res101.mat again with the images' names and labels only: its features take hundreds of MB and are not used."""
    from scipy.io import savemat

    for path in unpacked.glob("xlsa17/data/*/res101.mat"):
        found = read_mat(path, ["image_files", "labels"])
        files = np.array([[name] for name in found["image_files"]], dtype=object)
        unfinished = path.with_name(".res101.mat.part")
        with unfinished.open("wb") as file:
            savemat(file, {"image_files": files, "labels": found["labels"]}, do_compression=True)
            file.seek(0)
            file.write(b"MATLAB 5.0 MAT-file, without features".ljust(116))  # in place of scipy's, which has the time
        unfinished.replace(path)


def _put_in_place(unpacked: Path, root: Path) -> dict[str, int]:
    """Move each file to its place below the benchmark's folder; sizes by path."""
    files = {}
    for path in sorted(unpacked.rglob("*")):
        if not path.is_file() or path.name.endswith(".part"):
            continue
        relative = path.relative_to(unpacked)
        target = root / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        files[relative.as_posix()] = path.stat().st_size
        # A link, so that what is cut short here finds everything unpacked again.
        target.unlink(missing_ok=True)
        _link_or_copy(path, target)
    return files


def _given(source: Path, asset: Asset, dataset: str) -> Path | None:
    """Where the user has an asset: the archive itself, a folder with it, or with what it unpacks to."""
    if source.is_file():
        return source if source.name == asset.file else None
    if (source / asset.file).is_file():
        return source / asset.file
    return source if any((source / part).exists() for part in _parts(asset, dataset)) else None


def _parts(asset: Asset, dataset: str) -> list[str]:
    """What an asset unpacks to, below the benchmark's folder."""
    if asset.keep:
        return [str(Path(asset.patterns(dataset)[0]).parent)]
    if asset.name == "sun-images":
        return ["images"]
    return [_TOP_FOLDERS[dataset], *(["attributes.txt"] if dataset == "cub" else [])]


def _copy_folder(step: Step, unpacked: Path, progress: Progress) -> None:
    """Link, or copy where the disk cannot link, the user's unpacked files; they stay as they are."""
    assert step.source is not None
    files = [file for part in _parts(step.asset, step.dataset) for file in _files_below(step.source / part)]
    with explained_disk_errors(f"the files of {step.source}"):
        for number, path in enumerate(files, 1):
            target = unpacked / path.relative_to(step.source)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.stat().st_size != path.stat().st_size:
                target.unlink(missing_ok=True)
                _link_or_copy(path.resolve(), target)
            progress(f"copying {step.asset.name}", number, len(files))


def _files_below(path: Path) -> list[Path]:
    """A file itself, or all files of a folder, through links to folders too: people keep images on other disks."""
    if path.is_file():
        return [path]
    return sorted(Path(folder) / name for folder, _, names in os.walk(path, followlinks=True) for name in names)


def _link_or_copy(path: Path, target: Path) -> None:
    if path.name == "res101.mat":  # rewritten here, so never shared with the user's
        shutil.copy2(path, target)
        return
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)


def _check_room(steps: Sequence[Step], data_dir: Path) -> None:
    """Room for what has to be downloaded, once: a consumed zip gives its room back while it is unpacked."""
    needed = sum({step.asset.name: step.asset.bytes_to_fetch for step in steps if step.state == "download"}.values())
    place = data_dir
    while not place.exists():
        place = place.absolute().parent
    free = shutil.disk_usage(place).free
    if needed * 1.1 > free:
        raise ResourceError(
            f"{data_dir} has room for {free:,} bytes, the downloads need about {needed:,}",
            todo="free some space, or choose another place with --data-dir",
        )
