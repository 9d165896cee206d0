"""Downloading one file: by mirrors, with resuming, retries, and nothing called done before its check.

    <file>.part       what is there so far; the same command continues it
    <file>.part.json  the address it came from and the version that the server named; <file>.json in the end

The connection itself is `svipctl.datasets.transfer`'s.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from svipctl.datasets.assets import Asset
from svipctl.datasets.transfer import Part, Refused, Transient, continue_part, origin_of
from svipctl.errors import ConfigError, NetworkError, ResourceError, explained_disk_errors
from svipctl.types import ProgressCallback

_TRIES = 4  # of each mirror without a byte gained, where trying again may help
_WAITS = (1.0, 4.0, 10.0)
_LONGEST_WAIT = 60.0  # that a server may ask for
_SPARE = 2**26  # bytes of disk to leave free


def download(
    asset: Asset,
    folder: Path,
    *,
    mirrors: Sequence[str] = (),
    progress: ProgressCallback | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Path:
    """Fetch `folder/<asset.file>`; it appears there whole and checked, or not at all.

    Args:
        asset: What, from where, and its size and checksums.
        folder: Made if it is not there; the unfinished `.part` stays in it and is continued.
        mirrors: Base addresses to use in place of the asset's own; the file's name is appended.
        progress: Called with bytes there and bytes in all (0 while unknown).
        wait: Between two tries, in seconds.

    Raises:
        NetworkError: No mirror gave the file; what each said is listed.
        ResourceError: The disk is too small or full; what is there already is kept.

    """
    target = folder / asset.file
    with explained_disk_errors(f"the download {target}"):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f".{asset.file}.lock", f"downloading {asset.file} into {folder}"):
            if target.exists():
                return target
            said = []
            for address in addresses(asset, mirrors):
                try:
                    _from_mirror(asset, address, target, progress, wait)
                    return target
                except Refused as error:
                    said.append(f"{address}: {error}")
    raise NetworkError(
        f"{asset.file} could not be downloaded",
        why="\n".join(said),
        todo=f"try again later, or fetch {asset.file} by other means and give it with --from FOLDER",
    )


def addresses(asset: Asset, mirrors: Sequence[str] = ()) -> list[str]:
    """Where an asset is looked for, in this order: below the mirrors, or else at its own addresses."""
    return [f"{base.rstrip('/')}/{asset.file}" for base in mirrors] or list(asset.mirrors)


def check_mirror(mirror: str) -> None:
    """Whether it is an address at all.

    Raises:
        ConfigError: It is none.

    """
    try:
        parts = urlsplit(mirror)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        why = "" if good and not re.search(r"\s", mirror) else "it is not http:// or https:// and a server's name"
    except ValueError as error:  # brackets, or a port that is none
        why = str(error)
    if why:
        raise ConfigError(f"--mirror {mirror!r} is no address", why=why, todo="--mirror https://SERVER/FOLDER")


def problem_of(asset: Asset, path: Path) -> str:
    """Why a file of the user's is not the asset; empty if it is."""
    return Part(asset, path).problem()


def address_of(path: Path) -> str:
    """Where a downloaded file came from; empty for one put there by hand."""
    try:
        return str(json.loads(origin_of(path).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Hold a lock file: two processes never do the same thing.

    Raises:
        ConfigError: Another process holds it.

    """
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed the file in between; then this lock guards nothing.
            if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
                break
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            os.close(descriptor)
            raise ConfigError(f"another process is {doing}", todo="wait for it to end") from error
        os.close(descriptor)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _from_mirror(
    asset: Asset, address: str, target: Path, progress: ProgressCallback | None, wait: Callable[[float], object]
) -> None:
    part = Part(asset, target.with_name(f"{target.name}.part"))
    failures, furthest, joined = 0, part.size, part.size > 0
    while True:
        try:
            continue_part(part, address, check_room=_check_room, progress=progress)
        except Transient as error:
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures == _TRIES:
                raise Refused(f"{error}, {_TRIES} times") from error
            wait(min(_LONGEST_WAIT, error.wait if error.wait is not None else _WAITS[failures - 1]))
            continue
        problem = part.problem()
        if not problem:
            part.finish(target)
            return
        part.discard()
        if not joined:
            raise Refused(problem)
        joined = False  # the beginning may be to blame, which came from elsewhere: once more, all from here


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise ResourceError(
            f"{folder} has room for {free:,} bytes, the download needs {needed:,} more",
            todo="free some space, or choose another place with --data-dir",
        )
