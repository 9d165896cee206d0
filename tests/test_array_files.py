"""Test arrays and texts in one file: they are read back unchanged, and nothing else is left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svipctl.array_files import check_ending, read_arrays, write_arrays
from svipctl.errors import ConfigError, DataError

ARRAYS = {"table": np.arange(6, dtype=np.float32).reshape(2, 3), "numbers": np.array([3, 1], dtype=np.int64)}
TEXTS = {"names": ("jay", "Grünspecht, 鳥"), "note": "one"}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_and_texts_are_read_back(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "deeper" / f"file{ending}"
    write_arrays(path, ARRAYS, TEXTS, "texts")
    found = read_arrays(path, "texts", print, what="file")
    assert set(found) == {*ARRAYS, *TEXTS}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert tuple(map(str, found["names"])) == TEXTS["names"]
    assert str(found["note"]) == "one"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_the_same_content_gives_the_same_bytes(ending: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}{ending}" for number in range(2)]
    for path in paths:
        write_arrays(path, ARRAYS, TEXTS, "texts")
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_column_major_arrays_are_read_back_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    write_arrays(path, {"table": ARRAYS["table"].T}, {}, "texts")
    np.testing.assert_array_equal(read_arrays(path, "texts", print, what="file")["table"], ARRAYS["table"].T)


def test_an_unknown_suffix_is_refused() -> None:
    check_ending(Path("a.npz"), "features")
    with pytest.raises(ConfigError, match=r"a\.csv is not a file name for features"):
        check_ending(Path("a.csv"), "features")


@pytest.mark.parametrize("name", ["gone.npz", "gone.safetensors"])
def test_a_missing_file_is_a_data_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file of birds"):
        read_arrays(tmp_path / name, "texts", print, what="file of birds")


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (1,), (2, 1, 3)])
@pytest.mark.parametrize("dtype", [*"bhilBHILefd", "?"])
def test_shapes_and_types_are_checked_before_the_arrays_are_read(
    shape: tuple[int, ...], dtype: str, tmp_path: Path
) -> None:
    path, array = tmp_path / "file.safetensors", np.ones(shape, dtype)
    write_arrays(path, {"table": array}, TEXTS, "texts")
    seen: dict[str, Any] = {}
    read_arrays(path, "texts", seen.update, what="file")
    assert (seen["table"].shape, seen["table"].dtype) == (array.shape, array.dtype)
    assert not seen["table"].any()
    assert seen["note"] == "one"


def test_an_array_of_a_terabyte_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    header = json.dumps({"table": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 2**40)

    def refuse(found: Mapping[str, Any]) -> None:
        raise ValueError(f"shape {found['table'].shape}")

    with pytest.raises(ValueError, match="shape"):
        read_arrays(path, "texts", refuse, what="file")
