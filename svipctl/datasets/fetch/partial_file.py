"""The unfinished file of a download: its bytes, their hash and origin, and the checks that they are the wanted file.

<file>.part       what has arrived so far; the same command continues it
<file>.part.json  where it came from: address, version and size that the server declared; <file>.json in the end
"""

from __future__ import annotations

import hashlib
import os
from functools import partial
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from svipctl.datasets.fetch.archive import verify_archive
from svipctl.datasets.fetch.assets import Asset, Kind
from svipctl.datasets.fetch.connection import DamagedError
from svipctl.errors import DataError

HEAD = 64
"""Bytes that distinguish an archive from a page."""
_MAGIC: dict[Kind, bytes] = {"tar.gz": b"\x1f\x8b", "gz": b"\x1f\x8b", "zip": b"PK"}


class Origin(BaseModel):
    """Origin of the bytes of a download."""

    address: str = ""
    version: str = ""
    """Strong validator that the server gave; empty without one."""
    total: int | None = None
    """Bytes of the file that the server declared."""

    @classmethod
    def read(cls, file: Path) -> Origin:
        """Return the origin of a downloaded file, or of a part; empty for a file put there by hand."""
        try:
            return cls.model_validate_json(origin_path(file).read_bytes())
        except (OSError, ValidationError):
            return cls()


def origin_path(file: Path) -> Path:
    """Return the file that records the origin of a download."""
    return file.with_name(f"{file.name}.json")


def remove_download(file: Path) -> None:
    """Delete a downloaded file or a part, and the record of its origin."""
    file.unlink(missing_ok=True)
    origin_path(file).unlink(missing_ok=True)


class Part:
    """The bytes of an asset that have arrived, hashed in their order."""

    def __init__(self, asset: Asset, path: Path) -> None:
        self.asset, self.path, self.origin = asset, path, Origin.read(path)
        self._file = path.open("a+b")
        self._file.seek(0)
        self._hash = _hash(self._file, asset)
        self.size = self._file.tell()
        self.joined = self.size > 0
        """True if the bytes may come from several responses."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()
        if not self.size:
            remove_download(self.path)

    def restart(self, origin: Origin) -> None:
        """Remove the bytes; those that follow are of another origin."""
        self._file.truncate(0)
        self._file.seek(0)
        self.origin, self.size, self.joined = origin, 0, False
        self._hash = _hash(self._file, self.asset)
        origin_path(self.path).write_text(origin.model_dump_json(), encoding="utf-8")

    def append(self, block: bytes) -> None:
        """Add bytes."""
        self._file.write(block)
        self._file.flush()  # so that they outlive a kill
        self._hash.update(block)
        self.size += len(block)

    def check(self) -> None:
        """Compare the bytes with the asset; an archive without a published checksum is read to its end.

        Raises:
            DamagedError: They are something else.

        """
        if problem := problem_of(self.asset, self.path, self._hash.hexdigest()):
            raise DamagedError(problem)
        if not self.asset.checksum:
            try:
                verify_archive(self.path, self.asset)
            except DataError as error:
                raise DamagedError(f"{error.what}: {error.why}") from error

    def finish(self, target: Path) -> None:
        """Rename the file and the record of its origin."""
        os.fsync(self._file.fileno())
        origin_path(target).write_text(self.origin.model_dump_json(), encoding="utf-8")
        self.path.replace(target)
        origin_path(self.path).unlink(missing_ok=True)


def problem_of(asset: Asset, path: Path, digest: str = "") -> str:
    """Return why a file is not the asset, by its first bytes, size and checksum; empty if it is.

    Args:
        asset: The wanted file.
        path: The file.
        digest: Its checksum, if it is known already.

    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if problem := head_problem(file.read(HEAD), asset.kind):
            return problem
        if asset.size is not None and size != asset.size:
            return f"it has {size:,} bytes, it should have {asset.size:,}"
        file.seek(0)
        if asset.checksum and (found := digest or _hash(file, asset).hexdigest()) != asset.checksum:
            return f"its {asset.algorithm} is {found}, it should be {asset.checksum}"
    return ""


def head_problem(head: bytes, kind: Kind) -> str:
    """Return what is wrong with the first bytes of an archive; empty if nothing is."""
    if not head:
        return "it is empty"
    if head.startswith(_MAGIC[kind]):
        return ""
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is an HTML page, not an archive"
    return f"it is not a {kind} archive"


def _hash(file: BufferedReader | BufferedRandom, asset: Asset) -> hashlib._Hash:
    """Return the hash of what follows in a file, which can be continued."""
    return hashlib.file_digest(file, partial(hashlib.new, asset.algorithm, usedforsecurity=False))
