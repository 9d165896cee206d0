"""Bringing a benchmark onto this machine: download, unpack, put in place; each asset whole or not there.

    data/.archives/<file>            what is downloaded, or a .part of it; deleted after it is unpacked unless kept
    data/<name>/.unpacking/<asset>/  what is unpacked and not in place yet
    data/<name>/.assets/<asset>.json written last: the asset is whole, where it came from, and its files' sizes

Whatever cuts this short, the same command goes on where it stood.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from svipctl.datasets.assets import Asset
from svipctl.datasets.download import alone, download
from svipctl.datasets.fetch_plan import Step
from svipctl.datasets.install import Progress, install, remove_archive
from svipctl.datasets.side_by_side import side_by_side
from svipctl.errors import NetworkError, ResourceError, explained_disk_errors


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
                install(step, data_dir, keep_archives, told)
        except BaseException as error:
            stopping.set()
            for unfinished in running.values():
                unfinished.cancel()
            if isinstance(error, Exception):  # after Ctrl-C nobody waits for a server that has fallen silent
                futures.wait(running.values())
            raise
        if not keep_archives and any(step.state != "installed" for step in steps):  # else they were kept on purpose
            for name in {step.asset.file for step in steps}:
                remove_archive(archives / name)
            if archives.is_dir() and not any(archives.iterdir()):
                archives.rmdir()


@contextmanager
def _alone_in(data_dir: Path) -> Iterator[None]:
    """Two processes do not unpack into one folder, nor delete what the other still needs."""
    with ExitStack() as locked:
        with explained_disk_errors(f"data sets in {data_dir}"):
            data_dir.mkdir(parents=True, exist_ok=True)
            locked.enter_context(alone(data_dir / ".fetch.lock", f"fetching into {data_dir}"))
        yield


def free_room(data_dir: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    place = data_dir
    while not place.exists():
        place = place.absolute().parent
    return shutil.disk_usage(place).free


def _check_room(steps: Sequence[Step], data_dir: Path) -> None:
    """Room for what is still to be downloaded, once: a consumed zip gives its room back while it is unpacked."""
    missing = {step.asset.file: step.asset.bytes_to_fetch for step in steps if step.state == "download"}
    parts = {file: data_dir / ".archives" / f"{file}.part" for file in missing}
    there = {file: part.stat().st_size if part.exists() else 0 for file, part in parts.items()}
    needed = sum(max(0, size - there[file]) for file, size in missing.items())
    free = free_room(data_dir)
    if needed * 1.1 > free:
        raise ResourceError(
            f"{data_dir} has room for {free:,} bytes, the downloads need about {needed:,}",
            todo="free some space, or choose another place with --data-dir",
        )
