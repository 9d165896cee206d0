"""Stand-ins for what a pickle names: they hold what was pickled and do nothing.

A pickle may call whatever it names. Here every name that is allowed at all stands for one of these classes, and numpy's
arrays are rebuilt from their bytes: numpy's own unpickling trusts what it is given, to the end of the process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NUMBERS = re.compile(r"[fiu][1248]|b1|[SU][0-9]{1,5}")
_CORES = ("numpy.core", "numpy._core")  # numpy 1 and 2


class Inert:
    """Stands for an object of a library."""

    state: Any = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Items of a library's dictionary that nobody needs."""


class InertDtype(Inert):
    """Stands for `numpy.dtype`; its state begins with (version, byte order)."""

    def numpy(self) -> np.dtype[Any]:
        """The type, if it is one of numbers, truth values, text or bytes.

        Raises:
            ValueError: It is another one, or damaged.

        """
        code = self.arguments[0] if getattr(self, "arguments", ()) else None
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise ValueError(f"an array is of type {code!r}, not of numbers or text")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        return np.dtype(code).newbyteorder(">" if order == ">" else "<")

    @property
    def of_objects(self) -> bool:
        """Whether the array is one of Python objects."""
        return getattr(self, "arguments", ())[:1] in (("O",), ("O8",))


class InertArray(Inert):
    """Stands for `numpy.ndarray`; its state is (version, shape, dtype, whether columns come first, bytes or a list)."""

    def array(self) -> NDArray[Any]:
        """The array, built from its bytes; one of objects holds what `plain` makes of them.

        Raises:
            ValueError: Shape, type and bytes do not fit one another.

        """
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("an array is damaged")
        _, shape, dtype, by_columns, content = self.state
        if not isinstance(dtype, InertDtype):
            raise ValueError("an array has no type")
        return _built(shape, dtype, "F" if by_columns else "C", content)


class InertBuffer(Inert):
    """Stands for numpy's `_frombuffer(bytes, dtype, shape, order)`, an array as pickle protocol 5 has it."""

    def array(self) -> NDArray[Any]:
        """As `InertArray.array`."""
        if len(getattr(self, "arguments", ())) != 4 or not isinstance(self.arguments[1], InertDtype):
            raise ValueError("an array is damaged")
        content, dtype, shape, order = self.arguments
        return _built(shape, dtype, "F" if order == "F" else "C", content)


class InertScalar(Inert):
    """Stands for numpy's `scalar(dtype, bytes)`."""

    def number(self) -> Any:
        """The number, as Python's."""
        if len(getattr(self, "arguments", ())) != 2 or not isinstance(self.arguments[0], InertDtype):
            raise ValueError("a number is damaged")
        return _built((), self.arguments[0], "C", self.arguments[1]).item()


class NoBytes(Inert):
    """Stands for `bytes()`: how pickle protocol 2 has the content of an empty array."""


def numpy_stand_ins() -> dict[tuple[str, str], Callable[..., Any]]:
    """(module, name) -> stand-in, for the parts of numpy that its arrays name.

    Made anew for each file: a damaged one can change attributes of the classes that it gets.
    """
    array = type("_reconstruct", (InertArray,), {})
    scalar, buffer = type("scalar", (InertScalar,), {}), type("_frombuffer", (InertBuffer,), {})
    made: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "dtype"): type("dtype", (InertDtype,), {}),
        ("numpy", "ndarray"): type("ndarray", (Inert,), {}),
        ("_codecs", "encode"): _bytes,
        **{(builtins, "bytes"): type("bytes", (NoBytes,), {}) for builtins in ("builtins", "__builtin__")},
    }
    for core in _CORES:
        made |= {(f"{core}.multiarray", "_reconstruct"): array, (f"{core}.multiarray", "scalar"): scalar}
        made |= {(f"{core}.numeric", "_frombuffer"): buffer}
    return made


def plain(value: Any) -> Any:
    """What an unpickled value says, with arrays and numbers in the place of stand-ins; another object becomes its state.

    Raises:
        ValueError: An array or a number is damaged.
        RecursionError: It contains itself.

    """
    return _plain(value, {})


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """`done` has what is used more than once: a small file can repeat itself a million times over."""
    if id(value) in done:
        return done[id(value)]
    made = value
    if isinstance(value, InertArray | InertBuffer):
        made = value.array()
    elif isinstance(value, InertScalar):
        made = value.number()
    elif isinstance(value, Inert):
        made = _plain(value.state, done)
    elif isinstance(value, Mapping):
        made = {_plain(key, done): _plain(item, done) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        made = type(value)(_plain(item, done) for item in value)
    done[id(value)] = made
    return made


def _built(shape: Any, dtype: InertDtype, order: str, content: Any) -> NDArray[Any]:
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"an array has the shape {str(shape)[:40]}")
    if dtype.of_objects:
        if not isinstance(content, list) or len(content) != math.prod(shape):
            raise ValueError("an array of objects is damaged")
        objects = np.empty(len(content), dtype=object)
        for place, item in enumerate(content):
            objects[place] = plain(item)
        return _shaped(objects, shape, order)
    if isinstance(content, str):  # of Python 2
        content = content.encode("latin1")
    elif isinstance(content, NoBytes):
        content = b""
    numbers = dtype.numpy()
    if not isinstance(content, bytes | bytearray) or len(content) != numbers.itemsize * math.prod(shape):
        raise ValueError("an array has more or fewer bytes than its shape says")
    return _shaped(np.frombuffer(content, numbers) if content else np.zeros(0, numbers), shape, order)


def _shaped(flat: NDArray[Any], shape: tuple[int, ...], order: str) -> NDArray[Any]:
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _bytes(text: str, encoding: str = "latin1") -> bytes:
    """How old pickles hold bytes: as text."""
    return text.encode("latin1")
