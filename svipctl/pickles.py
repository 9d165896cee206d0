"""Pickled files of other programs: numbers, texts, containers and numpy arrays are read, and nothing in them is run."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svipctl.errors import DataError
from svipctl.files import open_regular, read_regular

DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions that unpickling a damaged file can raise."""

_LARGEST = 2**26  # bytes of a pickled table; the largest published one has 0.8 MB
_NUMBERS_AND_TEXTS = re.compile(r"[fiu][1248]|b1|[SU][0-9]{1,5}")


def read_pickled_array(path: Path) -> NDArray[np.float64]:
    """Load a pickled table of numbers, such as the published `<CUB|AWA2|SUN>_attribute.pkl`.

    Raises:
        DataError: Missing, damaged, with anything in it but arrays and plain data, or not a numeric array.

    """
    try:
        found = _ArrayUnpickler(io.BytesIO(_checked(read_regular(path, _LARGEST))), encoding="latin1").load()
        array = np.asarray(found) if isinstance(found, PickledArray) else None
    except DAMAGE as error:
        raise DataError(f"{path} is not a pickle of plain data", why=str(error) or "it is cut short") from error
    if array is None or array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds no table of numbers", why=f"it holds a {type(found).__name__}")
    return array.astype(np.float64)


def read_torch(path: Path, *, allowed: Sequence[type] = ()) -> Any:
    """Load what `torch.save` wrote: tensors, numbers, texts, containers and numpy arrays.

    Args:
        path: The file.
        allowed: Classes whose objects the file may contain too; none may run anything when it is unpickled.

    Returns:
        The document, with each numpy array as a `PickledArray`: pass it to `np.asarray`.

    Raises:
        DataError: Missing, damaged, or with any other object in it, which is named.

    """
    import torch

    check_torch_file(path)
    try:
        with torch.serialization.safe_globals([*allowed, *_safe_globals()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever a damaged file leads it to
        lines = str(error).strip().splitlines() or ["no details"]
        why = next((line.strip() for line in lines if "global" in line.lower()), lines[0])[:300]
        raise DataError(f"{path} is not a file of plain data", why=why) from error


def check_torch_file(path: Path) -> None:
    """Check what torch's own reader does not: that a file is one, and that it is not larger unpacked than packed.

    Raises:
        DataError: It is missing, not a regular file, or a zip archive with compressed content, which torch never writes.

    """
    with open_regular(path) as file:
        try:
            packed = [info.filename for info in zipfile.ZipFile(file).infolist() if info.compress_type]
        except Exception:  # not a zip archive, or a damaged one; torch tells which
            return
    if packed:
        raise DataError(f"{path} is not what torch.save writes", why=f"{packed[0]} is compressed in it")


class PickledArray:
    """A numpy array of a pickle; `np.asarray` returns it.

    It takes the place of `numpy.ndarray` while unpickling: numpy's own `__setstate__` trusts its argument, and a
    damaged one ends the process or takes gigabytes.
    """

    def __init__(self, *_: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, dtype, whether columns come first, bytes or a list of objects)."""
        _, shape, dtype, by_columns, content = state
        self.array = _build(shape, dtype, "F" if by_columns else "C", content)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the array, as numpy's protocol asks for it.

        Raises:
            ValueError: The pickle does not say what is in it.

        """
        if self.array is None:
            raise ValueError("an array has no content")
        return np.array(self.array, dtype, copy=copy)


class _Dtype:
    """A type of numbers or text; takes the place of `numpy.dtype` for the same reason."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        """Take (version, byte order, ...)."""
        self.order = state[1]


def _build(shape: Any, dtype: Any, order: Any, content: Any) -> NDArray[Any]:
    """Return an array whose shape, type and content are known to fit each other."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise ValueError("an array has no type or no shape")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"an array has the shape {str(shape)[:40]}")
    if dtype.code in ("O", "O8"):
        if not isinstance(content, list) or len(content) != math.prod(shape):
            raise ValueError("an array of objects is damaged")
        flat = np.empty(len(content), dtype=object)
        for index, item in enumerate(content):
            flat[index] = item
    else:
        if not isinstance(dtype.code, str) or not _NUMBERS_AND_TEXTS.fullmatch(dtype.code):
            raise ValueError(f"an array is of type {dtype.code!r}, not of numbers or text")
        numpy_type = np.dtype(dtype.code).newbyteorder(">" if dtype.order == ">" else "<")
        if isinstance(content, str):  # of Python 2
            content = content.encode("latin1")
        if not isinstance(content, bytes | bytearray) or len(content) != numpy_type.itemsize * math.prod(shape):
            raise ValueError("an array has more or fewer bytes than its shape says")
        flat = np.frombuffer(content, numpy_type) if content else np.zeros(0, numpy_type)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    """Stand in for numpy's `_frombuffer`, which pickle protocol 5 names."""
    made = PickledArray()
    made.array = _build(shape, dtype, order, content)
    return made


def _scalar(dtype: Any, content: Any) -> Any:
    """Stand in for numpy's `scalar`; returns a Python number or text."""
    return _build((), dtype, "C", content).item()


def _encode(text: str, _: object = None) -> bytes:
    """Stand in for `_codecs.encode`: pickle protocols 0 to 2 store bytes as text."""
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stand in for `bytes`, which protocols 0 to 2 call for empty content."""
    return b""


_STAND_INS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": PickledArray,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": PickledArray,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "_codecs.encode": _encode,
    "builtins.bytes": _no_bytes,
}
"""Everything that a pickle may name, as numpy 1 and Python 3 spell it."""


class _ArrayUnpickler(pickle.Unpickler):
    """Python's unpickler, which may call the stand-ins and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in, new for each use: a pickle can change attributes of what it gets."""
        numpy_1 = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        if f"{numpy_1}.{name}" not in _STAND_INS:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not allowed")
        return partial(_STAND_INS[f"{numpy_1}.{name}"])


def _checked(content: bytes) -> bytes:
    """Return a pickle in which each length and each memo index fits the file: Python allocates before it reads.

    Raises:
        ValueError: One does not.

    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument not in range(len(content)):
            raise ValueError(f"it has no room for {argument} objects")
    return content


def _safe_globals() -> list[Any]:
    """Return the stand-ins for torch's allow-list, which up to torch 2.5 takes a name from the object itself."""
    found = []
    for numpy_1, stand_in in _STAND_INS.items():
        for path in {numpy_1, numpy_1.replace("numpy.core", "numpy._core")}:
            module, _, name = path.rpartition(".")
            named: Any = type(name, (stand_in,), {}) if isinstance(stand_in, type) else partial(stand_in)
            named.__module__, named.__name__, named.__qualname__ = module, name, name
            found.append(named)
    return found
