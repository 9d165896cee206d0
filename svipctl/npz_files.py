"""Read numpy archives (.npz) from untrusted sources: headers are checked before anything is allocated or unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from svipctl.errors import DataError
from svipctl.files import open_regular

SMALL = 2**28
"""Bytes in memory that any archive may take; a larger archive may take at most `_TIMES` times its own size:"""
_TIMES = 16
_LONGEST_HEADER = 2**14
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: Path, *, what: str = "archive", todo: str = "") -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive: numbers and texts, no objects.

    Args:
        path: `.npz`, as `np.savez` and `np.savez_compressed` write it.
        what: Noun for the file in the errors.
        todo: Advice for a missing file.

    Raises:
        DataError: The file is missing, damaged, encrypted or of another format, or much larger in memory than on disk.

    """
    with _members(path, what, todo) as members:
        return {member.name: member.array() for member in members}


def npz_shapes(path: Path, *, what: str = "archive", todo: str = "") -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of an archive, from their headers; same arguments and errors as `read_npz`."""
    with _members(path, what, todo) as members:
        return {member.name: member.shape for member in members}


@dataclass(frozen=True)
class _Member:
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]
    start: int
    """Offset of the array's first number, in bytes."""

    @property
    def name(self) -> str:
        return self.info.filename.removesuffix(".npy")

    @property
    def bytes_in_memory(self) -> int:
        """Size of the array in float64."""
        return math.prod(self.shape) * max(8, self.dtype.itemsize)

    def array(self) -> NDArray[Any]:
        """Unpack the array; reading to the end verifies its checksum."""
        content = bytearray(self.archive.read(self.info))
        flat = (
            np.frombuffer(content, self.dtype, offset=self.start) if math.prod(self.shape) else np.zeros(0, self.dtype)
        )
        return flat.reshape(self.shape, order="F" if self.by_columns else "C")


@contextmanager
def _members(path: Path, what: str, todo: str) -> Iterator[list[_Member]]:
    with open_regular(path, what=what, todo=todo) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = [_member(archive, info) for info in archive.infolist()]
                needed = sum(member.bytes_in_memory for member in members)
                if needed > max(SMALL, _TIMES * path.stat().st_size):
                    raise ValueError(f"its arrays would take {needed:,} bytes")
                yield members
        except DataError:
            raise
        except Exception as error:  # numpy and zipfile raise any exception for a damaged header
            raise DataError(
                f"{path} is not a .npz file of plain arrays", why=str(error) or type(error).__name__
            ) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    """Return an array whose shape, type and size are known to fit each other."""
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is encrypted, or compressed by a method that numpy does not use")
    with archive.open(info) as file:
        begin = BytesIO(file.read(_LONGEST_HEADER))  # numpy would read as much as the header claims
    version = npy.read_magic(begin)
    if version not in _READERS:
        raise ValueError(f"{info.filename} has a header of version {version}")
    shape, by_columns, dtype = _READERS[version](begin)
    start = begin.tell()
    if dtype.kind not in "biufcSU" or start + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"{info.filename} is of type {dtype} and shape {shape}, with {info.file_size:,} bytes")
    return _Member(archive, info, shape, by_columns, dtype, start)
