"""Other people's pickles, read without running anything of theirs."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError
from svipctl.inert import Inert, numpy_stand_ins, plain

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
"""What unpickling raises on a damaged file, whatever led it there."""


class Foreign(pickle.UnpicklingError):
    """A pickle names something that is not allowed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it refers to {name}, which is not allowed")
        self.name = name


# Python's own unpickler in Python: the one in C takes gigabytes of memory where four damaged bytes ask for it.
class _Unpickler(pickle._Unpickler):
    read: Any
    append: Any

    def __init__(self, stream: IO[bytes], libraries: Collection[str], names: Collection[tuple[str, str]]) -> None:
        super().__init__(stream, encoding="latin1")
        self.libraries, self.names = libraries, names
        self.inert = type("Inert", (Inert,), {})
        self.numpy = numpy_stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.numpy:
            return self.numpy[module, name]
        libraries = (one for one in self.libraries if module == one or module.startswith(f"{one}."))
        if (module, name) in self.names or any(libraries):
            return self.inert
        raise Foreign(f"{module}.{name}")

    def load_bytearray8(self) -> None:
        """As bytes, and never more of them than there are: Python's takes the memory first."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(min(length, 2**62)))

    dispatch: ClassVar[Any] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}


def unpickle(
    stream: IO[bytes], *, libraries: Collection[str] = (), names: Collection[tuple[str, str]] = frozenset()
) -> Any:
    """Unpickle numbers, texts, containers, and stand-ins (`svipctl.inert`) for numpy's arrays and for what is allowed.

    Args:
        stream: The pickle.
        libraries: Whatever belongs to them becomes an `Inert`.
        names: (module, name) of what else does.

    Raises:
        Foreign: It names anything else.
        Exception: One of `DAMAGE`.

    """
    return _Unpickler(stream, libraries, names).load()


def read_pickle(path: Path) -> Any:
    """Unpickle numbers, texts, containers and numpy arrays.

    Raises:
        DataError: Damaged, not a pickle, or with anything else in it, which is named.

    """
    try:
        return plain(unpickle(io.BytesIO(path.read_bytes())))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read", why=str(error.strerror)) from error
    except DAMAGE as error:
        raise DataError(f"{path} is not a pickle of plain data", why=str(error) or "it is cut short") from error


def read_pickled_array(path: Path) -> NDArray[np.float64]:
    """A pickled table of numbers, such as the published `<CUB|AWA2|SUN>_attribute.pkl`.

    Raises:
        DataError: Damaged, or anything but a numeric numpy array.

    """
    array = read_pickle(path)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds no table of numbers", why=f"it holds a {type(array).__name__}")
    return array.astype(np.float64)


def read_torch(path: Path, *, names: Collection[tuple[str, str]] = frozenset()) -> Any:
    """What `torch.save` wrote: tensors, numbers, texts, containers and numpy arrays, by torch's restricted loader.

    Args:
        path: The file; nothing in it is executed.
        names: (module, name) of classes whose objects are read too, each as a mapping of its attributes.

    Raises:
        DataError: Missing, damaged, or with anything else in it, which is named.

    """
    import torch

    try:
        with torch.serialization.safe_globals(_named(names)):
            return plain(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, not a file") from error
    except Exception as error:  # torch's unpickler raises whatever a damaged file leads it to
        raise DataError(f"{path} is not a file of plain data", why=_reason(error)) from error


def _named(names: Collection[tuple[str, str]]) -> list[Any]:
    """Stand-ins that bear the names they stand for: so torch's allow-list knows them, since torch 2.5."""
    stand_ins: Mapping[tuple[str, str], Any] = numpy_stand_ins()
    found: list[Any] = []
    for (module, name), stand_in in {**stand_ins, **dict.fromkeys(names, Inert)}.items():
        if isinstance(stand_in, type):
            stand_in = type(name, (stand_in,), {"__module__": module, "__qualname__": name})
            found.append(stand_in)
    return found


def _reason(error: Exception) -> str:
    """The line of torch's text that says what is not allowed, or else its first."""
    lines = str(error).strip().splitlines() or ["no details"]
    return next((line.strip() for line in lines if "global" in line.lower()), lines[0])[:300]
