"""Read names and numbers from MATLAB files of version 5 (those of the benchmarks), with scipy.

scipy's reader trusts the types and lengths in a file: some damaged files crash the process, and some small ones make
it allocate gigabytes. So it receives only the wanted variables, after they have been checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError, explained_damage
from svipctl.files import read_regular

Variable = NDArray[np.float64] | tuple[str, ...]
"""A table of numbers in MATLAB's shape, or the strings of a cell array."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATRIX, _COMPRESSED = 14, 15
_CELLS, _CHARACTERS, _NUMBERS = 1, 4, range(6, 16)
_CONTENT = {_CELLS: {_MATRIX}, _CHARACTERS: {1, 2, 4, 16, 17, 18}}
"""Class of a matrix -> types of the elements with its content; numeric classes have others."""
_NUMERIC = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
_COMPLEX = 8
_LARGEST = 2**25  # bytes of one unpacked variable; the largest needed one has 9 MB
_TIMES = 16


class _Damaged(ValueError):
    """The bytes contradict the format."""


def read_mat(path: Path, keys: Sequence[str], *, largest: int = _LARGEST) -> dict[str, Variable]:
    """Read variables of a MATLAB file.

    Args:
        path: A file of version 5, as MATLAB's `save -v7` and scipy's `savemat` write it.
        keys: Names of the wanted variables.
        largest: Maximum bytes of an unpacked variable; the limit is also 16 times the file, or 32 MiB.

    Raises:
        DataError: The file is missing, of another format, damaged, without one of the keys, or not the file that
            `data fetch` installed.

    """
    content = read_regular(path)
    recorded = _recorded_sha256(path)
    with explained_damage(path, "is not a readable MATLAB file", todo="fetch it again"):
        if recorded not in (None, hashlib.sha256(content).hexdigest()):
            raise _Damaged("its SHA-256 is not the one recorded when it was fetched")
        found = _load(content, keys, min(largest, max(_LARGEST, _TIMES * len(content))))
    missing = [key for key in keys if key not in found]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}", why="it is damaged, or another file of that name")
    return found


def _load(content: bytes, keys: Sequence[str], largest: int) -> dict[str, Variable]:
    from scipy.io import loadmat

    if _HDF5 in (content[:8], content[512:520]):
        raise _Damaged("it is of version 7.3 (HDF5): save it in MATLAB with `save -v7`")
    if content[124:128] != b"\x00\x01IM":
        raise _Damaged("it does not start like a file of version 5")
    sound = [content[:128]]
    for kind, data in _elements(memoryview(content)[128:]):
        matrix = _unpack(data, keys, largest) if kind == _COMPRESSED else data
        if kind in (_MATRIX, _COMPRESSED) and _name(matrix) in keys:
            _check(matrix)
            sound += [struct.pack("<II", _MATRIX, len(matrix)), bytes(matrix)]
    found = loadmat(io.BytesIO(b"".join(sound)), variable_names=keys)
    return {key: _plain(found[key]) for key in keys if key in found}


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of each element in a file or a matrix."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise _Damaged("it ends in the middle of a variable")
        kind, size = struct.unpack_from("<II", data, place)
        begin = place + 8
        place = begin + size + (0 if kind == _COMPRESSED else -size % 8)
        if kind >> 16:  # up to four bytes are in the tag itself
            kind, size, begin, place = kind & 0xFFFF, kind >> 16, begin - 4, begin
        if begin + size > len(data):
            raise _Damaged("it ends in the middle of a variable")
        yield kind, data[begin : begin + size]


def _unpack(data: memoryview, keys: Sequence[str], largest: int) -> memoryview:
    """Return a decompressed matrix; for unwanted ones, such as 600 MB of features, only the beginning.

    Reading to the end verifies zlib's checksum.
    """
    begin = memoryview(zlib.decompressobj().decompress(data, 512))[8:]
    if _name(begin) not in keys:
        return begin
    unpacker = zlib.decompressobj()
    matrix = memoryview(unpacker.decompress(data, largest))[8:]
    if not unpacker.eof:
        raise _Damaged("a variable is truncated, or larger than any of a benchmark")
    return matrix


def _name(matrix: memoryview) -> str:
    """Return the name of a matrix, from its beginning."""
    *_, (_, name) = islice(_elements(matrix), 3)
    return bytes(name).decode("latin-1")


def _check(matrix: memoryview) -> None:
    """Raise unless the types and lengths in a matrix are consistent, and it contains numbers, text or cells."""
    (flags_kind, flags), (shape_kind, shape), (name_kind, _), *content = _elements(matrix)
    number = flags[0] if len(flags) == 8 and not flags[1] & _COMPLEX else 0
    allowed = _NUMERIC if number in _NUMBERS else _CONTENT.get(number, set())
    if (flags_kind, shape_kind, name_kind) != (6, 5, 1) or any(kind not in allowed for kind, _ in content):
        raise _Damaged("a variable is damaged, or neither a table of numbers nor a list of names")
    sides = struct.unpack(f"<{len(shape) // 4}i", shape)
    entries = len(content) if number == _CELLS else len(content[0][1]) if len(content) == 1 else -1
    if len(sides) < 2 or min(sides) < 0 or math.prod(sides) > entries:
        raise _Damaged(f"a variable of shape {sides} has less content than that")
    for _, data in content if number == _CELLS else ():
        _check(data)


def _plain(value: NDArray[Any]) -> Variable:
    """Return scipy's array as numbers, or as the strings of its cells."""
    if value.dtype.kind in "fiub":
        return value.astype(np.float64)
    cells = value.ravel(order="F").tolist()
    if value.dtype != object or any(cell.dtype.kind != "U" or cell.size > 1 for cell in cells):
        raise _Damaged("a list of names has an entry that is not text")
    return tuple("".join(cell.tolist()) for cell in cells)


def _recorded_sha256(path: Path) -> str | None:
    """Return the SHA-256 that `data fetch` recorded for a file; None for a file of the user."""
    for root in path.parents[:4]:
        for stamp in (root / ".assets").glob("*.json"):
            try:
                recorded = json.loads(stamp.read_bytes())["sha256_of"].get(path.relative_to(root).as_posix())
            except (ValueError, LookupError, TypeError, AttributeError):
                continue  # damaged, or from an earlier version; `data status` reports it
            if recorded is not None:
                return str(recorded)
    return None
