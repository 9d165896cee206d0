"""Other people's pickles, read without running anything of theirs."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError

_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),
}
DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ImportError,
    OverflowError,
    AssertionError,
    MemoryError,
    RuntimeError,
    struct.error,
)
"""What reading bytes that are no pickle, or a damaged one, raises; `torch.load` with `weights_only` too."""


class Inert:
    """Stands for an object of a library: holds what was pickled, and does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], inert: tuple[str, ...]) -> None:
        super().__init__(file)
        self.inert = inert

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if any(module == library or module.startswith(f"{library}.") for library in self.inert):
            return Inert
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not allowed")


def read_pickle(path: Path, *, inert: tuple[str, ...] = ()) -> Any:
    """Unpickle numbers, texts, containers and numpy arrays.

    Args:
        path: The file; nothing in it is executed.
        inert: Libraries whose objects become `Inert` ones; those of any other library are refused.

    Raises:
        DataError: Damaged, not a pickle, or with anything else in it, which is named.

    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file, inert).load()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read", why=str(error.strerror)) from error
    except DAMAGE as error:
        raise DataError(f"{path} is not a pickle of plain data", why=str(error)) from error


def read_pickled_array(path: Path) -> NDArray[np.float64]:
    """A pickled table of numbers, such as the published `<CUB|AWA2|SUN>_attribute.pkl`.

    Raises:
        DataError: Damaged, or anything but a numeric numpy array.

    """
    array = read_pickle(path)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds no table of numbers", why=f"it holds a {type(array).__name__}")
    return array.astype(np.float64)
