"""Read pickled files of other programs: numbers, text, containers and numpy arrays only; no code is executed."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svipctl.errors import DataError, explained_damage
from svipctl.files import open_regular, read_regular

_LARGEST = 2**26  # bytes of a pickled table; the largest published one has 0.8 MB
_NUMBERS_AND_TEXTS = re.compile(r"[fiu][1248]|b1|[SU][0-9]{1,5}")


def read_pickled_array(path: Path) -> NDArray[np.float64]:
    """Load a pickled table of numbers, such as the published `<CUB|AWA2|SUN>_attribute.pkl`.

    Raises:
        DataError: The file is missing, damaged, contains anything but arrays and plain data, or is not a numeric array.

    """
    content = read_regular(path, _LARGEST)
    with explained_damage(path, "is not a pickle of plain data"):
        found = _ArrayUnpickler(io.BytesIO(_checked(content)), encoding="latin1").load()
        array = np.asarray(found) if isinstance(found, PickledArray) else None
    if array is None or array.dtype.kind not in "fiu":
        kind = type(found).__name__ if array is None else f"array of type {array.dtype}"
        raise DataError(f"{path} does not contain a table of numbers", why=f"it contains a {kind}")
    return array.astype(np.float64)


def read_torch(path: Path, *, allowed: Sequence[type] = ()) -> Any:
    """Load a file of `torch.save`: tensors, numbers, text, containers and numpy arrays.

    Args:
        path: The file.
        allowed: Further classes whose objects the file may contain; they must not execute anything when unpickled.

    Returns:
        The document, with each numpy array as a `PickledArray`: pass it to `np.asarray`.

    Raises:
        DataError: The file is missing, damaged, or contains any other object, which is named.

    """
    import torch

    check_torch_file(path)
    damage = explained_damage(path, "is not a file of plain data", why=torch_reason)
    with damage, torch.serialization.safe_globals([*allowed, *_safe_globals()]):
        return torch.load(path, map_location="cpu", weights_only=True)


def torch_reason(error: Exception) -> str:
    """Return the line of an exception of `torch.load` that says what is wrong, without its advice to execute the file
    (`weights_only=False`).
    """
    lines = [re.split(" In PyTorch 2.6| Please use", line)[0].strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not re.search("weights.only", line, re.IGNORECASE)]
    named = [line for line in reasons if "global" in line.lower()]
    return [*named, *reasons, "it is not a format that torch reads without executing code"][0][:300]


def check_torch_file(path: Path) -> None:
    """Check a torch file beyond torch's own reader: that it is a regular file, and not larger unpacked than packed.

    Raises:
        DataError: The file is missing, not regular, or a zip archive with compressed content, which torch never writes.

    """
    with open_regular(path) as file:
        try:
            packed = [info.filename for info in zipfile.ZipFile(file).infolist() if info.compress_type]
        except Exception:  # not a zip archive, or a damaged one; torch reports which
            return
    if packed:
        raise DataError(f"{path} was not written by torch.save", why=f"its entry {packed[0]} is compressed")


class PickledArray:
    """A numpy array of a pickle; `np.asarray` returns it.

    It replaces `numpy.ndarray` while unpickling: numpy's own `__setstate__` trusts its argument, and a
    damaged one crashes the process or takes gigabytes.
    """

    def __init__(self, *_: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Set the state (version, shape, dtype, True for column-major order, bytes or a list of objects)."""
        _, shape, dtype, by_columns, content = state
        self.array = _build(shape, dtype, "F" if by_columns else "C", content)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the array, as numpy's protocol requires.

        Raises:
            ValueError: The pickle has no content for the array.

        """
        if self.array is None:
            raise ValueError("an array has no content")
        return np.array(self.array, dtype, copy=copy)


class _Dtype:
    """A type of numbers or text; replaces `numpy.dtype` for the same reason."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        """Set the state (version, byte order, ...)."""
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
        flat = np.fromiter(content, dtype=object, count=len(content))
    else:
        if not isinstance(dtype.code, str) or not _NUMBERS_AND_TEXTS.fullmatch(dtype.code):
            raise ValueError(f"an array is of type {dtype.code!r}, not of numbers or text")
        numpy_type = np.dtype(dtype.code).newbyteorder(">" if dtype.order == ">" else "<")
        if isinstance(content, str):  # of Python 2
            content = content.encode("latin1")
        if not isinstance(content, bytes | bytearray) or len(content) != numpy_type.itemsize * math.prod(shape):
            raise ValueError("an array does not have the number of bytes of its shape")
        flat = np.frombuffer(content, numpy_type) if content else np.zeros(0, numpy_type)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    """Replace numpy's `_frombuffer`, which pickle protocol 5 names."""
    made = PickledArray()
    made.array = _build(shape, dtype, order, content)
    return made


def _scalar(dtype: Any, content: Any) -> Any:
    """Replace numpy's `scalar`; return a Python number or text."""
    return _build((), dtype, "C", content).item()


def _encode(text: str, _: object = None) -> bytes:
    """Replace `_codecs.encode`: pickle protocols 0 to 2 store bytes as text."""
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Replace `bytes`, which protocols 0 to 2 call for empty content."""
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
"""Every name that a pickle may refer to, as numpy 1 and Python 3 spell it, with its replacement."""


class _ArrayUnpickler(pickle.Unpickler):
    """Python's unpickler, restricted to the replacements."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a replacement, new for each use, because a pickle can change its attributes."""
        numpy_1 = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        if f"{numpy_1}.{name}" not in _STAND_INS:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not allowed")
        return partial(_STAND_INS[f"{numpy_1}.{name}"])


def _checked(content: bytes) -> bytes:
    """Return a pickle in which each length and each memo index fits the file: Python allocates before it reads.

    Raises:
        ValueError: A length or an index does not fit.

    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument not in range(len(content)):
            raise ValueError(f"it refers to object {argument}, beyond its size")
    return content


def _safe_globals() -> list[Any]:
    """Return the replacements for torch's allow-list, which up to torch 2.5 takes a name from the object itself."""
    found = []
    for numpy_1, stand_in in _STAND_INS.items():
        for path in {numpy_1, numpy_1.replace("numpy.core", "numpy._core")}:
            module, _, name = path.rpartition(".")
            named: Any = type(name, (stand_in,), {}) if isinstance(stand_in, type) else partial(stand_in)
            named.__module__, named.__name__, named.__qualname__ = module, name, name
            found.append(named)
    return found
