"""Unpack archives from the network safely: no member leaves the folder, and none exceeds the manifest's limits.

Members of zip files are described as tarfile's `TarInfo`, so both kinds pass the same checks and tarfile's data filter.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Self

from svipctl.datasets.fetch.assets import Asset, Kind
from svipctl.errors import DataError, explained_damage, explained_disk_errors
from svipctl.files import atomic_folder, open_regular
from svipctl.types import ProgressCallback

_BLOCK = 2**20
_LARGEST_HEADER = 2**24  # bytes; tarfile reads an extended header at once
_LONGEST_NAME = 512  # bytes, so that the folder's own name fits in front of it; macOS has at most 1024
_JUNK = ("__MACOSX", ".DS_Store")


def unpack(archive: Path, target: Path, asset: Asset, dataset: str, progress: ProgressCallback | None = None) -> None:
    """Unpack the members that a benchmark needs into a folder, which appears complete or not at all.

    Args:
        archive: Archive of the asset's kind.
        target: Target folder, replaced if it exists.
        asset: The members to unpack, and the limits.
        dataset: Name of the benchmark.
        progress: Called with the bytes of the archive that are read, and its size.

    Raises:
        DataError: The archive is damaged or truncated, or has a harmful member.
        ResourceError: The disk is full.

    """
    patterns, names = asset.patterns(dataset) or ("*",), dict[str, str]()
    with explained_disk_errors(f"the files of {archive.name}"), atomic_folder(target) as folder:
        for path, source in _checked_files(archive, asset, progress):
            wanted = any(fnmatchcase(str(path), pattern) for pattern in patterns)
            if not wanted or path.parts[0] in _JUNK or path.name in _JUNK or path.name.startswith("._"):
                continue
            if _is_taken(path, names):
                raise _refusal(archive, path, "another member has the same name on some disks")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("xb") as file:
                file.writelines(_blocks(archive, source))


def verify_archive(archive: Path, asset: Asset) -> None:
    """Read an archive to its end, including its checksums, and check its members as `unpack` does.

    Raises:
        DataError: The archive is damaged or truncated, or has a harmful member.

    """
    for _ in _checked_files(archive, asset):
        pass


def _checked_files(
    archive: Path, asset: Asset, progress: ProgressCallback | None = None
) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """Yield path and content of each file, and read the rest of a file that the caller does not read."""
    unpacked = 0
    with _damage(archive), open_regular(archive) as file:
        members = _zip_members(file) if asset.kind == "zip" else _gzip_members(file, asset.kind)
        for count, (member, source) in enumerate(members, 1):
            unpacked += member.size
            if harm := _harm(member):
                raise _refusal(archive, member.name, harm)
            if count > asset.members:
                raise _refusal(archive, member.name, f"more than {asset.members:,} members")
            if unpacked > asset.unpacked:
                raise _refusal(archive, member.name, f"it unpacks to more than {asset.unpacked:,} bytes")
            if source is not None:
                yield PurePosixPath(member.name), source
                _read_to_end(source)
            if progress:
                progress(file.tell(), archive.stat().st_size)


def _harm(member: tarfile.TarInfo) -> str:
    """Return the reason why a member must not be unpacked; empty if it may."""
    name, parts = member.name, PurePosixPath(member.name).parts
    try:
        tarfile.data_filter(member, "unpacked")
    except tarfile.FilterError as error:
        return str(error)
    if name.startswith("/") or "\\" in name or ":" in name[:2] or ".." in parts:
        return "its path leads out of the folder"
    if member.issparse() or not (member.isreg() or member.isdir()) or member.size < 0:
        return "it is a link, a device or another special file"
    unfit = any(ord(letter) < 32 for letter in name) or any(len(part.encode()) > 255 for part in parts)
    unfit = unfit or len(name.encode()) > _LONGEST_NAME
    return "its name is not valid for a file" if unfit or not (parts or member.isdir()) else ""


def _is_taken(path: PurePosixPath, names: dict[str, str]) -> bool:
    """Return True if a file is one of `names` on a disk that ignores case or normalizes letters; else add it."""
    folders = [str(folder) for folder in path.parents]
    taken = any(names.setdefault(_folded(folder), folder) != folder for folder in folders)
    taken = taken or _folded(str(path)) in names
    names[_folded(str(path))] = ""  # no folder may have this name
    return taken


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _refusal(archive: Path, name: str | PurePosixPath, why: str) -> DataError:
    what = f"{archive.name} is not unpacked: member {str(name)!r} is refused"
    return DataError(what, why=why, todo="delete this archive, and download it from its official source")


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must be intact and small: tarfile takes a damaged one for the end, and reads gigabytes of
    another.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the intact end; typeshed does not have it
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if not (member.isreg() or 0 <= member.size <= _LARGEST_HEADER):
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member


def _gzip_members(file: IO[bytes], kind: Kind) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    # Not tarfile's own "r|gz", which accepts a stream that is truncated or has a wrong CRC.
    with gzip.GzipFile(fileobj=file) as stream:
        if kind == "tar.gz":
            with tarfile.open(fileobj=stream, mode="r:", tarinfo=_StrictTarInfo) as tar:
                for member in tar:
                    yield member, tar.extractfile(member) if member.isreg() else None
        _read_to_end(stream)


def _zip_members(file: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    with zipfile.ZipFile(file) as packed:
        for entry in packed.infolist():
            if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile(f"{entry.filename!r} is encrypted, or compressed by an unusual method")
            member = tarfile.TarInfo(entry.filename)
            member.size = entry.file_size
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                member.type = tarfile.SYMTYPE
            elif entry.is_dir():
                member.type = tarfile.DIRTYPE
            with packed.open(entry) as source:
                yield member, source if member.isreg() else None


def _blocks(archive: Path, source: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of a file in blocks."""
    with _damage(archive):
        while block := source.read(_BLOCK):
            yield block


def _read_to_end(source: IO[bytes] | gzip.GzipFile) -> None:
    while source.read(_BLOCK):
        pass


def _damage(archive: Path) -> AbstractContextManager[None]:
    return explained_damage(archive, "is damaged", todo="delete it and fetch it again")
