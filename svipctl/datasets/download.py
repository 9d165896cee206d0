"""Downloading one file: by mirrors, with resuming, retries, and nothing called done before its check."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from svipctl.datasets.assets import Asset, Kind
from svipctl.errors import NetworkError, ResourceError, SvipError, explained_disk_errors

Progress = Callable[[int, int], None]

_BLOCK = 2**18
_TRIES = 4  # of each mirror, where trying again may help
_WAITS = (1.0, 4.0, 10.0)
_LONGEST_WAIT = 60.0  # that a server may ask for
_SPARE = 2**26  # bytes of disk to leave free
_MAGIC: dict[Kind, bytes] = {"tar.gz": b"\x1f\x8b", "gz": b"\x1f\x8b", "zip": b"PK"}


class _Refused(Exception):
    """The mirror will not give the file; the next may."""


class _Transient(Exception):
    """Trying again may help, after so many seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def download(
    asset: Asset,
    folder: Path,
    *,
    mirrors: Sequence[str] = (),
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch `folder/<asset.file>`; it appears there whole and checked, or not at all.

    Args:
        asset: What, from where, and its size and checksums.
        folder: Made if it is not there; the unfinished `.part` stays in it and is continued.
        mirrors: Base addresses to try before the asset's own; the file's name is appended.
        progress: Called with bytes there and bytes in all (0 while unknown).
        wait: Between two tries, in seconds.

    Raises:
        NetworkError: No mirror gave the file; what each said is listed.
        ResourceError: The disk is too small or full; what is there already is kept.

    """
    target = folder / asset.file
    addresses = [f"{base.rstrip('/')}/{asset.file}" for base in mirrors] or list(asset.mirrors)
    with explained_disk_errors(f"the download {target}"):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, asset.file):
            if target.exists():
                return target
            said = []
            for address in addresses:
                try:
                    _from_mirror(asset, address, target, progress, wait)
                    return target
                except _Refused as error:
                    said.append(f"{address}: {error}")
    raise NetworkError(
        f"{asset.file} could not be downloaded",
        why="\n".join(said),
        todo=f"try again later, or fetch {asset.file} by other means and give it with --from FOLDER",
    )


def check_magic(content: bytes, kind: Kind) -> str:
    """What is wrong with the first bytes of an archive; empty if nothing is."""
    if content.startswith(_MAGIC[kind]):
        return ""
    begins = content[:64].lstrip().lower()
    if begins.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is an HTML page, not an archive"
    return f"it is not a {kind} archive"


def _from_mirror(
    asset: Asset, address: str, target: Path, progress: Progress | None, wait: Callable[[float], None]
) -> None:
    part = target.with_name(f"{target.name}.part")
    for number in range(_TRIES):
        try:
            _continue(asset, address, part, progress)
            break
        except _Transient as error:
            if number + 1 == _TRIES:
                raise _Refused(f"{error}, {_TRIES} times") from error
            wait(min(_LONGEST_WAIT, error.wait if error.wait is not None else _WAITS[number]))
    problem = _problem(asset, part)
    if problem:
        part.unlink()
        raise _Refused(problem)
    part.rename(target)


def _continue(asset: Asset, address: str, part: Path, progress: Progress | None) -> None:
    """Append to the part what it lacks; what is there is kept whenever the connection ends."""
    import httpx

    there = part.stat().st_size if part.exists() else 0
    if asset.size is not None and there >= asset.size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    timeout = httpx.Timeout(30.0)
    try:
        with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=timeout) as response:
            if response.status_code == 416:  # nothing is left; the check says whether that is right
                return
            _check_status(response.status_code, response.headers.get("Retry-After"))
            resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
                f"bytes {there}-"
            )
            there = there if resumed else 0
            length = response.headers.get("Content-Length", "")
            total = there + int(length) if length.isdigit() else 0
            if asset.size is not None and total not in (0, asset.size):
                raise _Refused(f"it has {total:,} bytes there, it should have {asset.size:,}")
            _check_room(part.parent, (total or asset.bytes_to_fetch) - there)
            with part.open("ab" if resumed else "wb") as file:
                _copy(response.iter_bytes(_BLOCK), file, there, total, asset, progress)
            if total and part.stat().st_size < total:
                raise _Transient(f"the connection ended after {part.stat().st_size:,} of {total:,} bytes")
    except (httpx.TransportError, httpx.StreamError) as error:
        raise _Transient(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    except httpx.InvalidURL as error:
        raise _Refused(f"no address: {error}") from error


def _copy(
    blocks: Iterator[bytes], file: BinaryIO, there: int, total: int, asset: Asset, progress: Progress | None
) -> None:
    for block in blocks:
        if there == 0 and block:
            problem = check_magic(block, asset.kind)
            if problem:
                file.truncate(0)
                raise _Refused(problem)
        file.write(block)
        there += len(block)
        if progress:
            progress(there, total or asset.bytes_to_fetch)


def _check_status(status: int, retry_after: str | None) -> None:
    if status in (200, 206):
        return
    if status in (408, 425, 429) or status >= 500:
        wait = float(retry_after) if retry_after and retry_after.isdigit() else None
        raise _Transient(f"HTTP status {status}", wait)
    raise _Refused(f"HTTP status {status}")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise ResourceError(
            f"{folder} has room for {free:,} bytes, the download needs {needed:,} more",
            todo="free some space, or choose another place with --data-dir",
        )


def _problem(asset: Asset, path: Path) -> str:
    """Why the finished file is not the asset; empty if it is. One more reading: the part may be of an earlier process."""
    size = path.stat().st_size if path.exists() else 0
    if not size:
        return "it is empty"
    with path.open("rb") as file:
        magic = check_magic(file.read(64), asset.kind)
        if magic:
            return magic
        if asset.size is not None and size != asset.size:
            return f"it has {size:,} bytes, it should have {asset.size:,}"
        for name in ("sha256", "md5"):
            expected = getattr(asset, name)
            if expected is not None:
                file.seek(0)
                found = hashlib.file_digest(file, name).hexdigest()
                return "" if found == expected else f"its {name} is {found}, it should be {expected}"
    return ""


def problem_of(asset: Asset, path: Path) -> str:
    """Why a file of the user's is not the asset; empty if it is."""
    return _problem(asset, path)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Two processes never write the same part."""
    with (folder / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SvipError(
                f"another process is downloading {name} into {folder}", todo="wait for it to end"
            ) from error
        try:
            yield
        finally:
            os.unlink(lock.name)  # noqa: PTH108 the open file's own name
