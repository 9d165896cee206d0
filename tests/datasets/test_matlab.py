"""The reader of MATLAB files against scipy's, which is the oracle wherever the file is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import loadmat, savemat

from svipctl.datasets.matlab import read_mat
from svipctl.errors import DataError
from tests.datasets.official_layout import METADATA, needs_metadata

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    table=st.one_of(
        [arrays(kind, st.tuples(st.integers(1, 4), st.integers(1, 4))) for kind in ("f8", "u1", "i4", "u2", "f4")]
    ),
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9), min_size=1, max_size=5
    ),
    packed=st.booleans(),
)
def test_numbers_and_names_are_read_as_scipy_reads_them(
    tmp_path: Path, table: np.ndarray, names: list[str], packed: bool
) -> None:
    path = tmp_path / "file.mat"
    cells = np.array([[name] for name in names] + [[""]], dtype=object)[:-1]
    savemat(path, {"table": table, "names": cells, "unread": np.ones(3)}, do_compression=packed)
    found, oracle = read_mat(path, ["table", "names"]), loadmat(path)
    np.testing.assert_array_equal(found["table"], oracle["table"].astype(np.float64))
    assert found["names"] == tuple(str(cell[0]) for cell in oracle["names"].ravel())


@needs_metadata
@pytest.mark.parametrize("path", sorted(METADATA.glob("*/*/*.mat")), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_real_file_is_read_as_scipy_reads_it(path: Path) -> None:
    oracle = {key: value for key, value in loadmat(path).items() if not key.startswith("__") and value.dtype != bool}
    logical = {"att", "original_att"} if path.stem == "binaryAtt_splits" else set()
    keys = sorted(set(oracle) - logical)
    for key, value in read_mat(path, keys).items():
        if isinstance(value, tuple):
            assert value == tuple(str(cell[0]) for cell in oracle[key].ravel(order="F"))
        else:
            np.testing.assert_array_equal(value, oracle[key])


@quick
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
    length=st.integers(0, 10**6),
    packed=st.booleans(),
)
def test_damaged_bytes_never_raise_anything_but_a_data_error(
    tmp_path: Path, changes: list[tuple[int, int]], length: int, packed: bool
) -> None:
    path = tmp_path / "file.mat"
    savemat(path, {"names": np.array([["a"], ["bc"]], dtype=object), "table": np.eye(3)}, do_compression=packed)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content[: length % (2 * len(content))])
    try:
        found = read_mat(path, ["names", "table"])
    except DataError:
        return
    assert set(found) == {"names", "table"}


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"MATLAB 5.0" + bytes(200)])
def test_another_kind_of_file_is_told_from_a_missing_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable MATLAB file"):
        read_mat(path, ["a"])
    savemat(path, {"b": np.ones(2)})
    with pytest.raises(DataError, match="lacks a"):
        read_mat(path, ["a"])
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        read_mat(path, ["a"])
