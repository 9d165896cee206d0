"""Read numpy archives (.npz) from untrusted sources: headers are checked before anything is allocated or unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from svipctl.errors import explained_damage
from svipctl.files import open_regular

SMALL = 2**28
"""Bytes in memory that any archive may take; a larger archive may take at most `_TIMES` times its own size:"""
_TIMES = 16
_LONGEST_HEADER = 2**14
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
Shapes = dict[str, tuple[int, ...]]
"""Name of an array -> its shape."""


def read_npz(path: Path, *, what: str = "archive", todo: str = "") -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive: numbers and texts, no objects.

    Args:
        path: `.npz`, as `np.savez` and `np.savez_compressed` write it.
        what: Noun for the file in the errors.
        todo: Advice in the errors.

    Raises:
        DataError: The file is missing, damaged, encrypted or of another format, or much larger in memory than on disk.

    """
    with _checked(path, what, todo) as (file, _), np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def npz_shapes(path: Path, *, what: str = "archive", todo: str = "") -> Shapes:
    """Return the shapes of the arrays of an archive, from their headers; same arguments and errors as `read_npz`."""
    with _checked(path, what, todo) as (_, shapes):
        return shapes


@contextmanager
def _checked(path: Path, what: str, todo: str) -> Iterator[tuple[BinaryIO, Shapes]]:
    """Yield an archive whose arrays are known to fit their members and the memory, and their shapes."""
    damage = explained_damage(path, "is not a .npz file of plain arrays", todo=todo)
    with open_regular(path, what=what, todo=todo) as file, damage:
        shapes, needed = Shapes(), 0
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                shape, itemsize = _header(archive, info)
                shapes[info.filename.removesuffix(".npy")] = shape
                needed += math.prod(shape) * max(8, itemsize)  # as float64
        if needed > max(SMALL, _TIMES * path.stat().st_size):
            raise ValueError(f"its arrays would take {needed:,} bytes, more than the limit")
        file.seek(0)
        yield file, shapes


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], int]:
    """Return the shape and the item size of an array whose shape, type and size are known to fit each other."""
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is encrypted, or compressed by a method that numpy does not use")
    with archive.open(info) as file:
        begin = BytesIO(file.read(_LONGEST_HEADER))  # numpy would read as much as the header claims
    version = npy.read_magic(begin)
    if version not in _READERS:
        raise ValueError(f"{info.filename} has a header of the unsupported version {version}")
    shape, _, dtype = _READERS[version](begin)
    if dtype.kind not in "biufcSU" or begin.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(
            f"{info.filename} has {info.file_size:,} bytes, which do not fit type {dtype} and shape {shape}"
        )
    return shape, dtype.itemsize
