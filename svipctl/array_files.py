"""Write and read arrays and texts in one file, `.npz` or `.safetensors`: complete or not at all, and without pickles."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from svipctl.errors import ConfigError, explained_disk_errors
from svipctl.files import atomic_write, check_output, open_regular
from svipctl.npz_files import read_npz

ENDINGS = (".npz", ".safetensors")


def check_ending(path: Path, what: str) -> None:
    """Raise ConfigError unless a file name has the ending of a supported format, before any work is done.

    Args:
        path: The file.
        what: Noun for its content, in the error.

    Raises:
        ConfigError: The ending is of another format, or the file cannot be written.

    """
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path} is not a file name for {what}", todo="use the ending .npz or .safetensors")
    check_output(path)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, Any], key: str) -> None:
    """Write a file, complete or not at all; the same content gives the same bytes.

    Args:
        path: The file; its ending, checked by `check_ending`, selects the format.
        arrays: Name -> numbers.
        texts: Name -> a text or a sequence of texts: arrays of texts in `.npz`, JSON in the metadata of `.safetensors`.
        key: Name of that JSON.

    Raises:
        ResourceError, ConfigError: The disk is full, or the file cannot be written.

    """
    with explained_disk_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished, unfinished.open("wb") as file:
            if path.suffix == ".npz":
                strings = {name: np.array(value, dtype=np.str_) for name, value in texts.items()}
                np.savez(file, allow_pickle=False, **arrays, **strings)
            else:
                tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
                file.write(safetensors.numpy.save(tensors, {key: json.dumps(texts)}))


def read_arrays(
    path: Path, key: str, check: Callable[[Mapping[str, Any]], object], *, what: str, todo: str = ""
) -> dict[str, Any]:
    """Return the arrays and the texts of a file, by name; texts of `.safetensors` are plain strings and lists.

    Args:
        path: The file; a name that does not end in `.safetensors` is read as `.npz`.
        key: As for `write_arrays`.
        check: Function that raises an exception unless shapes and types of the arrays are as expected. It is called
            for `.safetensors`, which may be of any size, before the arrays are read: with zeros that take no memory.
        what: Noun for the file in the error if it is missing.
        todo: Advice in that error.

    Raises:
        DataError: The file is missing, not a regular file, or a damaged or pickled `.npz`.
        Exception: Any exception of `check`, or of the reader of a damaged `.safetensors` file.

    """
    if path.suffix != ".safetensors":
        return {**read_npz(path, what=what, todo=todo)}
    open_regular(path, what=what, todo=todo).close()
    with safetensors.safe_open(path, framework="numpy") as file:
        texts: dict[str, Any] = json.loads((file.metadata() or {}).get(key, "{}"))
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        check(texts | {name: _zeros(one) for name, one in slices.items()})
        return texts | {name: file.get_tensor(name) for name in slices}


def _zeros(tensor: Any) -> NDArray[Any]:
    """Return zeros in the shape and type of a tensor in a file, without memory for them."""
    code: str = tensor.get_dtype()
    if code != "BOOL" and not (code[0] in "FIU" and code[1:].isdigit()):
        raise ValueError(f"it has an array of type {code}, which is not supported")
    dtype = "?" if code == "BOOL" else f"{code[0].lower()}{int(code[1:]) // 8}"
    return np.broadcast_to(np.zeros((), dtype), tensor.get_shape())
