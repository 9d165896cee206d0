"""Names and numbers from MATLAB files of version 5 (those of the benchmarks).

scipy's reader brings the whole process down on some damaged files, and a download can be damaged. This one reads the
few kinds of variables that the benchmarks need, checks every length before it trusts it, and skips the others without
unpacking them, such as the 600 MB of features in res101.mat.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError

Variable = NDArray[np.float64] | tuple[str, ...]
"""A table of numbers in MATLAB's shape, or the texts of a cell array."""

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le", 18: "utf-32-le"}
_CELL, _CHARACTERS, _NUMERIC = 1, 4, range(6, 16)
_LARGEST = 2**28  # bytes of one unpacked variable; the largest needed one has 9 MB


class _Damaged(ValueError):
    """The bytes contradict the format."""


@dataclass(frozen=True)
class _Matrix:
    """The head of a variable, and the elements behind it."""

    kind: int
    shape: tuple[int, ...]
    name: str
    body: memoryview


def read_mat(path: Path, keys: Sequence[str]) -> dict[str, Variable]:
    """Variables of a MATLAB file.

    Args:
        path: A file of version 5, as MATLAB's `save -v7` and scipy's `savemat` write it.
        keys: Names of the wanted variables.

    Raises:
        DataError: Missing, not such a file, cut short, or without one of the keys.

    """
    found: dict[str, Variable] = {}
    try:
        content = memoryview(path.read_bytes())
        if len(content) < _HEADER or bytes(content[124:128]) != b"\x00\x01IM":
            raise _Damaged("it does not begin like one of version 5")
        for kind, data in _elements(content[_HEADER:], padded=False):
            matrix = _head(kind, data, frozenset(keys))
            if matrix is not None:
                found[matrix.name] = _value(matrix)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read", why=str(error.strerror)) from error
    except (_Damaged, zlib.error, struct.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable MATLAB file", why=str(error), todo="fetch it again") from error
    missing = [key for key in keys if key not in found]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}", why="it is damaged, or another file of that name")
    return found


def _elements(data: memoryview, *, padded: bool = True) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; at the top level of a file compressed ones are not padded to 8 bytes."""
    place = 0
    while place + 8 <= len(data):
        first, size = struct.unpack_from("<II", data, place)
        if first >> 16:  # up to four bytes live in the tag itself
            kind, size, begin, step = first & 0xFFFF, first >> 16, place + 4, 8
            if size > 4:
                raise _Damaged("an element is longer than its tag")
        else:
            kind, begin = first, place + 8
            step = 8 + (size if kind == _COMPRESSED and not padded else -(-size // 8) * 8)
        if begin + size > len(data):
            raise _Damaged("it ends in the middle of a variable")
        yield kind, data[begin : begin + size]
        place += step
    if place < len(data):
        raise _Damaged("it ends in the middle of a variable")


def _head(kind: int, data: memoryview, wanted: frozenset[str]) -> _Matrix | None:
    """The variable in a top-level element if it is wanted; of others only the beginning is unpacked."""
    if kind == _COMPRESSED:
        start = zlib.decompressobj().decompress(data, 512)
        name = _matrix(memoryview(start)[8:]).name if len(start) > 8 else ""
        if name not in wanted:
            return None
        unpacker = zlib.decompressobj()
        whole = memoryview(unpacker.decompress(data, _LARGEST))
        if not unpacker.eof:
            raise _Damaged("a variable is cut short, or larger than any of a benchmark")
        kind, data = next(_elements(whole), (0, whole))
    if kind != _MATRIX:
        return None
    matrix = _matrix(data)
    return matrix if matrix.name in wanted else None


def _matrix(data: memoryview) -> _Matrix:
    """Flags, shape and name; what follows them may be cut."""
    heads: list[tuple[int, memoryview]] = []
    place = 0
    for _ in range(3):
        first, size = struct.unpack_from("<II", data, place)
        small = first >> 16
        begin, length = (place + 4, small) if small else (place + 8, size)
        if begin + length > len(data) or (small and small > 4):
            raise _Damaged("the head of a variable is cut short")
        heads.append((first & 0xFFFF, data[begin : begin + length]))
        place = place + 8 if small else begin + -(-length // 8) * 8
    (_, flags), (shape_kind, shape), (_, name) = heads
    if not flags or shape_kind != 5 or len(shape) % 4 or not len(shape):
        raise _Damaged("the head of a variable is no head")
    return _Matrix(flags[0], struct.unpack(f"<{len(shape) // 4}i", shape), bytes(name).decode("latin-1"), data[place:])


def _value(matrix: _Matrix) -> Variable:
    if matrix.kind == _CELL:
        return tuple(_text(kind, data) for kind, data in _exactly(_count(matrix), matrix))
    if matrix.kind in _NUMERIC:
        kind, data = next(_elements(matrix.body), (0, memoryview(b"")))
        if kind not in _NUMBERS or len(data) != _count(matrix) * np.dtype(_NUMBERS[kind]).itemsize:
            raise _Damaged(f"{matrix.name} does not have the numbers that its shape asks for")
        return np.frombuffer(data, _NUMBERS[kind]).astype(np.float64).reshape(matrix.shape, order="F")
    raise _Damaged(f"{matrix.name} is neither a table of numbers nor a list of names")


def _exactly(count: int, matrix: _Matrix) -> list[tuple[int, memoryview]]:
    elements = list(_elements(matrix.body))
    if len(elements) != count:
        raise _Damaged(f"{matrix.name} has {len(elements)} entries, its shape asks for {count}")
    return elements


def _text(kind: int, data: memoryview) -> str:
    """The text in one cell."""
    if kind != _MATRIX:
        raise _Damaged("a list of names has an entry that is no variable")
    matrix = _matrix(data)
    kind, letters = next(_elements(matrix.body), (16, memoryview(b"")))
    if matrix.kind != _CHARACTERS or kind not in _TEXTS:
        raise _Damaged("a list of names has an entry that is not text")
    return bytes(letters).decode(_TEXTS[kind])


def _count(matrix: _Matrix) -> int:
    count = 1
    for length in matrix.shape:
        if length < 0:
            raise _Damaged(f"{matrix.name} has a negative shape")
        count *= length
    return count
