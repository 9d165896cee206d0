"""Unpacking archives that come from the network: nothing leaves the folder, nothing is more than was promised."""

from __future__ import annotations

import ctypes
import fnmatch
import gzip
import os
import shutil
import struct
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from svipctl.datasets.assets import Asset
from svipctl.errors import DataError, explained_disk_errors
from svipctl.types import ProgressCallback

_BLOCK = 2**20
_FREE_EVERY = 2**28  # bytes unpacked between two releases of a zip's room
_JUNK = ("__MACOSX", ".DS_Store")
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


@dataclass
class _Members:
    """What the members so far add up to, and whether the next may follow."""

    archive: Path
    asset: Asset
    patterns: Sequence[str]
    count: int = 0
    bytes: int = 0
    files: set[str] = field(default_factory=set)
    folders: dict[str, str] = field(default_factory=dict)

    def place(self, name: str, kind: str) -> PurePosixPath | None:
        """Where a member goes below the target; None for a folder, for junk, and for what is not wanted.

        Raises:
            DataError: Its path or kind is not harmless, or there are too many.

        """
        self.count += 1
        if self.count > self.asset.members:
            raise self.refused(name, f"more than {self.asset.members:,} members")
        if kind not in ("file", "folder"):
            raise self.refused(name, f"it is a {kind}")
        path = PurePosixPath(name)
        if name.startswith("/") or "\\" in name or ":" in name[:2] or ".." in path.parts:
            raise self.refused(name, "its path leads out of the folder")
        if any(ord(letter) < 32 for letter in name) or any(len(part.encode()) > 255 for part in path.parts):
            raise self.refused(name, "its name is not one for a file")
        if kind == "folder" or not path.parts or path.parts[0] in _JUNK or path.name in _JUNK:
            return None
        if path.name.startswith("._"):
            return None
        if self.patterns and not any(fnmatch.fnmatchcase(str(path), pattern) for pattern in self.patterns):
            return None
        self._check_spelling(path)
        return path

    def _check_spelling(self, path: PurePosixPath) -> None:
        """No two members may be one file on a disk that ignores case or spells letters otherwise."""
        for folder in [parent for parent in path.parents if parent.parts]:
            key = _folded(folder)
            if key in self.files or self.folders.setdefault(key, str(folder)) != str(folder):
                raise self.refused(str(path), "another member has the same name on some disks")
        if _folded(path) in self.files or _folded(path) in self.folders:
            raise self.refused(str(path), "another member has the same name on some disks")
        self.files.add(_folded(path))

    def wrote(self, name: str, count: int) -> None:
        """Count what really came out, whatever the headers say."""
        self.bytes += count
        if self.bytes > self.asset.unpacked:
            raise self.refused(name, f"it unpacks to more than {self.asset.unpacked:,} bytes")

    def refused(self, name: str, why: str) -> DataError:
        return DataError(
            f"{self.archive.name} is not unpacked: member {name!r} is refused",
            why=why,
            todo="get the archive from its official source; delete this one",
        )


def unpack(
    archive: Path,
    target: Path,
    asset: Asset,
    *,
    dataset: str,
    consume: bool = False,
    progress: ProgressCallback | None = None,
) -> int:
    """Unpack what a benchmark needs of an archive into a folder.

    Args:
        archive: Of the asset's kind.
        target: Made if it is not there. Whole files in it from an unpacking that was cut short are kept.
        asset: Which members, and how much at most.
        dataset: Which benchmark's.
        consume: Give the room of unpacked zip members back to the disk (Linux), so that archive and files together
            need little more than one of them. The archive can then only be used to finish this unpacking.
        progress: Called with members done and members in all (0 while unknown).

    Returns:
        Files unpacked or already there.

    Raises:
        DataError: Damaged or cut short, or a member that is refused. Then `target` is removed.
        ResourceError: The disk is full; what is unpacked stays for the next try.

    """
    members = _Members(archive, asset, asset.patterns(dataset))
    try:
        with explained_disk_errors(f"the files of {archive.name}"):
            target.mkdir(parents=True, exist_ok=True)
            if asset.kind == "zip":
                return _unpack_zip(archive, target, members, consume, progress)
            return _unpack_tar(archive, target, members, progress)
    except _DAMAGE as error:
        shutil.rmtree(target, ignore_errors=True)
        raise DataError(
            f"{archive} is damaged", why=f"{type(error).__name__}: {error}", todo="delete it and fetch it again"
        ) from error
    except DataError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _unpack_tar(archive: Path, target: Path, members: _Members, progress: ProgressCallback | None) -> int:
    done = 0
    # Not tarfile's own "r|gz", which takes a stream that is cut short, or has another CRC, for a whole one.
    with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            path = members.place(member.name, _kind_of(member))
            if path is None:
                continue
            source = tar.extractfile(member)
            if source is None:
                raise members.refused(member.name, "it has no content")
            written = target / path
            if not (written.is_file() and written.stat().st_size == member.size):
                _write(source, written, members, member.name)
            else:
                members.wrote(member.name, member.size)
            done += 1
            if progress:
                progress(done, 0)
        while stream.read(_BLOCK):
            pass
    return done


def _kind_of(member: tarfile.TarInfo) -> str:
    if member.isreg() and not member.issparse():
        return "file"
    if member.isdir():
        return "folder"
    if member.issym() or member.islnk():
        return "link"
    return "device or another special file"


def _unpack_zip(
    archive: Path, target: Path, members: _Members, consume: bool, progress: ProgressCallback | None
) -> int:
    done = 0
    used: list[zipfile.ZipInfo] = []
    with zipfile.ZipFile(archive) as packed:
        wanted = []
        for member in packed.infolist():
            kind = "folder" if member.is_dir() else "link" if member.external_attr >> 28 == 0o12 else "file"
            path = members.place(member.filename, kind)
            if path is not None:
                if member.flag_bits & 1:
                    raise members.refused(member.filename, "it is encrypted")
                wanted.append((member, path))
        for member, path in wanted:
            written = target / path
            if _is_whole(written, member):
                members.wrote(member.filename, member.file_size)
            else:
                with packed.open(member) as source:
                    _write(source, written, members, member.filename)
            used.append(member)
            done += 1
            if progress:
                progress(done, len(wanted))
            if consume and sum(one.compress_size for one in used) >= _FREE_EVERY:
                _free(archive, used)
                used.clear()
    return done


def _is_whole(path: Path, member: zipfile.ZipInfo) -> bool:
    """Whether an earlier unpacking has written the member: by size and CRC."""
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc == member.CRC


def _write(source: IO[bytes], path: Path, members: _Members, name: str) -> None:
    """Under another name until it is whole; never through a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name[:200]}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        while block := source.read(_BLOCK):
            members.wrote(name, len(block))
            file.write(block)
    unfinished.replace(path)


def _free(archive: Path, used: Sequence[zipfile.ZipInfo]) -> None:
    """Punch holes where unpacked members lay, once their files have reached the disk; elsewhere than on Linux, nothing."""
    if not sys.platform.startswith("linux"):
        return
    os.sync()
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    with archive.open("r+b") as file:
        for member in used:
            # Behind the local header, whose name and extra field may be shorter or longer than the directory says.
            file.seek(member.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            start = member.header_offset + 30 + name + extra
            fallocate(file.fileno(), 0x01 | 0x02, start, member.compress_size)


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
