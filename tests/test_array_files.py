"""Arrays and texts in one file: what is written is read again, whole, and nothing else is left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svipctl.array_files import check_ending, read_arrays, write_arrays
from svipctl.errors import ConfigError, DataError

ARRAYS = {"table": np.arange(6, dtype=np.float32).reshape(2, 3), "numbers": np.array([3, 1], dtype=np.int64)}
TEXTS = {"names": ("jay", "Grünspecht, 鳥"), "note": "one"}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_and_texts_come_back(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "deeper" / f"file{ending}"
    write_arrays(path, ARRAYS, TEXTS, "texts")
    found = read_arrays(path, "texts", what="file")
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


def test_columns_first_arrays_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    write_arrays(path, {"table": ARRAYS["table"].T}, {}, "texts")
    np.testing.assert_array_equal(read_arrays(path, "texts", what="file")["table"], ARRAYS["table"].T)


def test_another_ending_is_refused() -> None:
    check_ending(Path("a.npz"), "features")
    with pytest.raises(ConfigError, match=r"a\.csv is not a file name for features"):
        check_ending(Path("a.csv"), "features")


@pytest.mark.parametrize("name", ["gone.npz", "gone.safetensors"])
def test_a_missing_file_is_our_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file of birds"):
        read_arrays(tmp_path / name, "texts", what="file of birds")
