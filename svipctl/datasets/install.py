"""Putting an asset of a benchmark in place: unpacked or copied beside it, moved, and stamped when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from svipctl.datasets.archive import unpack
from svipctl.datasets.download import address_of, problem_of
from svipctl.datasets.fetch_plan import Step, parts_of, stamp_path
from svipctl.datasets.matlab import read_mat
from svipctl.datasets.transfer import origin_of
from svipctl.errors import DataError, explained_disk_errors
from svipctl.types import ProgressCallback

Progress = Callable[[str, int, int], None]
"""Asset and what is done with it, units done, units in all (0 while unknown)."""


def install(step: Step, data_dir: Path, keep_archives: bool, progress: Progress) -> None:
    """Unpack an asset's archive, or copy the user's folder, put the files in place, and write the stamp last.

    Args:
        step: Of `plan_fetch`; what is to be downloaded has been.
        data_dir: Folder of the data sets.
        keep_archives: Leave the archive as it is; else its room is given back while it is unpacked.
        progress: Told of what is done.

    Raises:
        DataError: The archive is damaged, refused or another one.
        ConfigError, ResourceError: The files cannot be written.

    """
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
            remove_archive(archive)  # or the next run would meet it again
            raise DataError(
                error.what, why=error.why, todo="it is deleted; the same command downloads it again"
            ) from error
    path = stamp_path(data_dir, step.dataset, step.asset)
    with explained_disk_errors(f"the data set in {root}"):
        path.unlink(missing_ok=True)  # of what is there already and put in place again
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
            "sha256_of": {
                file: hashlib.sha256((root / file).read_bytes()).hexdigest() for file in files if file.endswith(".mat")
            },
        }
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_text(json.dumps(stamp) + "\n", encoding="utf-8")
        os.sync()
        unfinished.replace(path)
        shutil.rmtree(unpacked)
        if not any(unpacked.parent.iterdir()):
            unpacked.parent.rmdir()


def remove_archive(path: Path) -> None:
    """It and the note of where it came from; they need not be there."""
    path.unlink(missing_ok=True)
    origin_of(path).unlink(missing_ok=True)


def _named(progress: Progress, what: str) -> ProgressCallback:
    return lambda done, total: progress(what, done, total)


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


def _copy_folder(step: Step, unpacked: Path, progress: Progress) -> None:
    """Link, or copy where the disk cannot link, the user's unpacked files; they stay as they are."""
    assert step.source is not None
    files = [file for part in parts_of(step.asset, step.dataset) for file in _files_below(step.source / part)]
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
