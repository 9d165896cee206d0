"""What gensim's `KeyedVectors.save` and `Word2Vec.save` wrote, read without gensim and without running anything in it.

Such a file is a pickle, and perhaps a table in numpy's format beside it. Unpickling may call whatever the file names,
so here every name stands for an object that does nothing, and a name from outside gensim and numpy is refused. Arrays
are rebuilt from their bytes: numpy's own unpickling trusts what it is given.
"""

from __future__ import annotations

import pickle
import struct
import tokenize
import zlib
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from svipctl.semantics.byte_blocks import Damaged
from svipctl.semantics.vectors import Vectors, checked

_LIBRARIES = ("gensim", "numpy.random", "numpy.core", "numpy._core")
_NAMES = {
    *(("numpy", name) for name in ("ndarray", "dtype")),
    *(("builtins", name) for name in ("int", "float", "hash", "object")),
    *(("__builtin__", name) for name in ("int", "float", "hash", "object")),
    *(("collections", name) for name in ("defaultdict", "OrderedDict")),
}
_DAMAGE = (
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    BadZipFile,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,  # numpy, on a damaged header
    zlib.error,
)


def read_gensim(stream: IO[bytes], path: Path, wanted: AbstractSet[str]) -> tuple[Vectors, int, list[Path]]:
    """The wanted words, the width, and the files beside it that were read too.

    Args:
        stream: The pickle, unpacked if it was gzipped.
        path: Where it lies: gensim puts large tables into files of their own beside it.
        wanted: Words.

    Raises:
        Damaged: Not such a file, cut short, with other objects than gensim's, or with a vector that is not finite.

    """
    try:
        unpickler = _Unpickler(stream)
        model = unpickler.load()
        keyed, part = _member(model, "wv"), ".wv"
        if keyed is None:
            keyed, part = model, ""
        rows = _rows(keyed, wanted)
        table, beside = _table(keyed, f"{path}{part}")
        found: Vectors = {}
        for word in sorted(rows):
            if not 0 <= rows[word] < len(table):
                raise Damaged(f"{word!r} is row {rows[word]} of {len(table)}")
            found[word] = checked(table[rows[word]], repr(word))
        return found, table.shape[1], beside
    except Damaged:
        raise
    except _DAMAGE as error:
        raise Damaged(f"as a file of gensim it is damaged: {error}") from error


class _Object:
    """Stands for whatever the file names."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Items of a dictionary of gensim's that nobody needs."""


class _Array(_Object):
    """Stands for a numpy array; its state is (version, shape, dtype, whether columns come first, bytes)."""

    def table(self) -> NDArray[Any]:
        _, shape, dtype, by_columns, content = self.state
        if not isinstance(content, bytes) or not isinstance(dtype, _Dtype) or len(shape) != 2:
            raise Damaged("its table of vectors is none of numbers")
        numbers = np.frombuffer(content, dtype.numpy())
        return numbers.reshape(shape, order="F" if by_columns else "C")


class _Dtype(_Object):
    """Stands for numpy's type of numbers; its state begins with (version, byte order)."""

    def __init__(self, code: Any = None, *arguments: Any) -> None:
        super().__init__()
        self.code = code

    def numpy(self) -> str:
        """Its name in numpy, byte order first."""
        if self.code not in ("f2", "f4", "f8"):
            raise Damaged(f"its vectors are of type {self.code!r}, not floating-point numbers")
        order = self.state[1] if isinstance(self.state, tuple) else "="
        return f"{'>' if order == '>' else '<'}{self.code}"


def _bytes(text: str, encoding: str = "latin1") -> bytes:
    """How old pickles hold bytes: as text."""
    return text.encode("latin1")


# Python's own unpickler in Python: the one in C takes gigabytes of memory where four damaged bytes ask for it.
class _Unpickler(pickle._Unpickler):
    dispatch = {code: step for code, step in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        # Made anew for each file: a damaged one can change attributes of the classes that it gets.
        self.object = type("Object", (_Object,), {})
        self.array = type("Array", (_Array,), {})
        self.dtype = type("Dtype", (_Dtype,), {})

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return self.array
        if (module, name) == ("numpy", "dtype"):
            return self.dtype
        if (module, name) == ("_codecs", "encode"):
            return lambda *arguments: _bytes(*arguments)
        if (module, name) in _NAMES or any(module == one or module.startswith(f"{one}.") for one in _LIBRARIES):
            return self.object
        raise Damaged(f"it is a pickle that refers to {module}.{name}, which is not gensim's: it is not read")


def _member(model: Any, name: str) -> Any:
    state = model.state if isinstance(model, _Object) else None
    return state.get(name) if isinstance(state, dict) else None


def _rows(keyed: Any, wanted: AbstractSet[str]) -> dict[str, int]:
    """Row of each wanted word."""
    index = _member(keyed, "key_to_index")
    if isinstance(index, dict):
        rows = {word: index[word] for word in wanted if word in index}
    else:  # gensim 3 and older
        names = _member(keyed, "index_to_key") or _member(keyed, "index2word")
        if not isinstance(names, list):
            raise Damaged("it holds no word vectors, as far as gensim's KeyedVectors and Word2Vec have them")
        rows = {}
        for row, word in enumerate(names):
            if isinstance(word, str) and word in wanted:
                rows.setdefault(word, row)
    for word, row in rows.items():
        if type(row) is not int:
            raise Damaged(f"the row of {word!r} is no whole number")
    return rows


def _table(keyed: Any, stem: str) -> tuple[NDArray[Any], list[Path]]:
    """The vectors (words, width), from within the pickle or mapped from the file beside it, and that file."""
    for name in ("vectors", "syn0"):
        within = _member(keyed, name)
        if isinstance(within, _Array):
            return within.table(), []
        for beside in (Path(f"{stem}.{name}.npy"), Path(f"{stem}.{name}.npz")):
            if beside.exists():
                found = np.load(beside, mmap_mode="r" if beside.suffix == ".npy" else None, allow_pickle=False)
                table = found["val"] if isinstance(found, np.lib.npyio.NpzFile) else found
                if table.ndim != 2 or table.dtype.kind != "f":
                    raise Damaged(f"{beside.name} holds no table of floating-point numbers")
                return table, [beside]
    raise Damaged(f"its vectors are not in it, and {Path(stem).name}.vectors.npy is not beside it")
