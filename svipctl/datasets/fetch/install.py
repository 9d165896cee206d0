"""Install benchmarks: download, unpack and move each asset, and write a stamp when it is complete.

    data/.archives/<file>            downloads, or their .part; deleted after they are unpacked unless kept
    data/<name>/.unpacking/<asset>/  unpacked files that are not installed yet
    data/<name>/.assets/<asset>.json written last: origin of the asset, and sizes of its files

After any interruption the same command continues: it keeps the downloaded bytes and unpacks again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from scipy.io import savemat

from svipctl.datasets.fetch.archive import unpack
from svipctl.datasets.fetch.download import DISK_FULL, Origin, download, remove_download
from svipctl.datasets.fetch.steps import Step, bytes_needed, parts_of, stamp_path
from svipctl.datasets.matlab import read_mat
from svipctl.errors import DataError, NetworkError, ReadError, explained_disk_errors
from svipctl.files import (
    atomic_folder,
    atomic_write,
    atomic_write_text,
    file_lock,
    file_sha256,
    open_regular,
    require_disk_space,
)
from svipctl.types import ProgressCallback

Progress = Callable[[str, int, int], None]
"""Function that receives the action and the asset, the units done, and the units in total (0 while unknown)."""


def fetch(
    steps: Sequence[Step],
    data_dir: Path,
    *,
    keep_archives: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
) -> None:
    """Execute the steps of `plan_fetch` in order.

    An archive is deleted as soon as no later step needs it, so that at most one is on the disk next to its files.

    Args:
        steps: Steps of `plan_fetch`.
        data_dir: Folder of the data sets.
        keep_archives: Keep the archives.
        offline: Refuse to download.
        progress: Called with the progress of each asset.

    Raises:
        ConfigError: Another process fetches into the folder, or it cannot be written.
        NetworkError: A download failed, or is needed and forbidden. Installed assets stay.
        DataError: An archive is damaged or refused.
        ResourceError: The disk is too small.

    """
    todo = [step for step in steps if step.state != "installed"]
    missing = {step.asset.file: step.asset for step in todo if step.state == "download"}
    if offline and missing:
        raise NetworkError(
            f"{', '.join(missing)} must be downloaded, and downloads are disabled (--offline)",
            todo="omit --offline, or use your own files: --from FOLDER",
        )
    if not todo:
        return
    report = progress or (lambda task, done, total: None)
    archives, needed = data_dir / ".archives", bytes_needed(todo, keep_archives=keep_archives)
    require_disk_space(data_dir, needed, f"fetching needs about {needed:,} bytes", DISK_FULL)
    with explained_disk_errors(f"data sets in {data_dir}"):
        data_dir.mkdir(parents=True, exist_ok=True)
        with file_lock(data_dir / ".fetch.lock", busy=f"another process is fetching into {data_dir}"):
            for position, step in enumerate(todo):
                if step.state == "download":
                    received = partial(report, f"downloading {step.asset.file}")
                    download(step.asset, archives, progress=received)
                _install(step, data_dir, report)
                needed_again = any(later.asset.file == step.asset.file for later in todo[position + 1 :])
                if not (step.given or keep_archives or needed_again):
                    remove_download(step.archive)
            with suppress(OSError):  # it has other downloads, or is a link
                archives.rmdir()


def _install(step: Step, data_dir: Path, report: Progress) -> None:
    """Unpack an archive, or link the user's folder; move the files to their final folders, and write the stamp last."""
    root, asset, archive = data_dir / step.dataset, step.asset, step.archive
    unpacked = root / ".unpacking" / asset.name
    try:
        if archive.is_dir():
            _link_folder(archive, unpacked, parts_of(asset, step.dataset), partial(report, f"copying {asset.name}"))
        elif step.state == "unpack" and (problem := asset.problem_of(archive)):  # downloads are checked already
            raise DataError(f"{archive} is not {asset.file}", why=problem, todo="omit --from to download it")
        else:
            unpack(archive, unpacked, asset, step.dataset, partial(report, f"unpacking {asset.file}"))
        _drop_features(unpacked)
        found = sorted(path for path in unpacked.rglob("*") if path.is_file())
        files = {path.relative_to(unpacked).as_posix(): path.stat().st_size for path in found}
        if not files:
            todo = "download it from its official source"
            raise DataError(f"{asset.file} contains nothing that {step.dataset} needs", todo=todo)
    except DataError as error:
        if not (step.given or isinstance(error, ReadError)):
            remove_download(archive)  # otherwise the next run would use it again
            error.todo = "it was deleted; the same command downloads it again"
        raise
    stamp = stamp_path(data_dir, step.dataset, asset)
    stamp.unlink(missing_ok=True)  # while its files are replaced, the asset is not complete
    record = {
        "asset": asset.name,
        "from": archive.name if step.given else Origin.read(archive).address,
        "sha256": asset.sha256,
        "md5": asset.md5,
        "installed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": files,
        "sha256_of": {name: file_sha256(unpacked / name) for name in files if name.endswith(".mat")},
    }
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        _move(unpacked / name, root / name)
    os.sync()
    stamp.parent.mkdir(exist_ok=True)
    atomic_write_text(stamp, json.dumps(record) + "\n")
    shutil.rmtree(unpacked.parent)


def _move(source: Path, target: Path) -> None:
    """Move a file, which replaces another; copy it if a link leads to another disk."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_write(target) as unfinished:
            shutil.copyfile(source, unfinished)


def _drop_features(unpacked: Path) -> None:
    """Rewrite res101.mat with the images' names and labels only: its features take hundreds of MB and are not used."""
    for path in unpacked.glob("xlsa17/data/*/res101.mat"):
        found = read_mat(path, ["image_files", "labels"])
        files = np.array([[name] for name in found["image_files"]], dtype=object)
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            savemat(file, {"image_files": files, "labels": found["labels"]}, do_compression=True)
            file.seek(0)  # the beginning of scipy's header has the time
            file.write(b"MATLAB 5.0 MAT-file, without features".ljust(116))


def _link_folder(source: Path, unpacked: Path, parts: Sequence[str], progress: ProgressCallback) -> None:
    """Link the user's unpacked files, or copy them if the disk does not support links; the originals stay unchanged."""
    done = count(1)

    def link(path: str, target: str) -> None:
        open_regular(Path(path)).close()  # refuse a link to nothing, and a pipe
        try:
            os.link(os.path.realpath(path), target)
        except OSError:
            with explained_disk_errors(target):
                shutil.copy2(path, target)
        progress(next(done), 0)

    try:
        with atomic_folder(unpacked) as folder:
            for part in parts:
                if (source / part).is_dir():  # follow links: some images are on other disks
                    shutil.copytree(source / part, folder / part, copy_function=link)
                elif (source / part).exists():
                    link(str(source / part), str(folder / part))
    except shutil.Error as error:  # of folders, as texts
        name, _, why = error.args[0][0]
        raise DataError(f"{name} cannot be copied", why=why, todo="remove it, or pass another --from") from error
