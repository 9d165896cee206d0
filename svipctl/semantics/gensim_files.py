"""What gensim's `KeyedVectors.save` and `Word2Vec.save` wrote, read without gensim and without running anything in it.

Such a file is a pickle, and perhaps a table in numpy's format beside it. Every name in it stands for an object that
does nothing (`svipctl.inert`), and a name from outside gensim and numpy is refused.
"""

from __future__ import annotations

import tokenize
import zlib
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from svipctl.inert import Inert, InertArray, InertBuffer
from svipctl.pickles import DAMAGE, Foreign, unpickle
from svipctl.semantics.byte_blocks import Damaged
from svipctl.semantics.vectors import Vectors, checked

_LIBRARIES = ("gensim", "numpy.random", "numpy.core", "numpy._core")
_NAMES = {
    *(("numpy", name) for name in ("ndarray", "dtype")),
    *(("builtins", name) for name in ("int", "float", "hash", "object")),
    *(("__builtin__", name) for name in ("int", "float", "hash", "object")),
    *(("collections", name) for name in ("defaultdict", "OrderedDict")),
}
_DAMAGED = (*DAMAGE, BadZipFile, OSError, SyntaxError, tokenize.TokenError, zlib.error)  # numpy's, of the table beside


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
        model = unpickle(stream, libraries=_LIBRARIES, names=_NAMES)
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
    except Foreign as error:
        raise Damaged(f"it is a pickle that refers to {error.name}, which is not gensim's: it is not read") from error
    except _DAMAGED as error:
        raise Damaged(f"as a file of gensim it is damaged: {error}") from error


def _member(model: Any, name: str) -> Any:
    state = model.state if isinstance(model, Inert) else None
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
        if isinstance(within, InertArray | InertBuffer):
            return _checked(within.array(), "its table"), []
        for beside in (Path(f"{stem}.{name}.npy"), Path(f"{stem}.{name}.npz")):
            if beside.exists():
                found = np.load(beside, mmap_mode="r" if beside.suffix == ".npy" else None, allow_pickle=False)
                table = found["val"] if isinstance(found, np.lib.npyio.NpzFile) else found
                return _checked(table, beside.name), [beside]
    raise Damaged(f"its vectors are not in it, and {Path(stem).name}.vectors.npy is not beside it")


def _checked(table: NDArray[Any], name: str) -> NDArray[Any]:
    if table.ndim != 2 or table.dtype.kind != "f":
        raise Damaged(f"{name} holds no table of floating-point numbers")
    return table
