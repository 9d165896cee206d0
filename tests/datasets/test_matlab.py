"""Test MATLAB files: intact ones are read as by scipy, and any other raises a DataError."""

from __future__ import annotations

import hashlib
import json
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

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
def test_damaged_bytes_raise_only_data_errors(
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
def test_another_kind_of_file_and_a_missing_key_are_different_errors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable MATLAB file"):
        read_mat(path, ["a"])
    savemat(path, {"b": np.ones(2)})
    with pytest.raises(DataError, match="lacks a"):
        read_mat(path, ["a"])
    path.unlink()
    with pytest.raises(DataError, match="there is no file"):
        read_mat(path, ["a"])


def test_a_file_of_version_7_3_is_an_error_that_names_the_version(tmp_path: Path) -> None:
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "file.mat").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(DataError, match=r"7\.3 \(HDF5\)"):
        read_mat(tmp_path / "file.mat", ["a"])


@pytest.mark.parametrize("folder", ["cub/xlsa17/data/CUB", "sun/SUNAttributeDB"])
def test_a_fetched_file_that_has_changed_is_refused_by_its_checksum(folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "file.mat"
    path.parent.mkdir(parents=True)
    savemat(path, {"table": np.eye(3)})
    root = tmp_path / Path(folder).parts[0]
    (root / ".assets").mkdir()
    (root / ".assets" / "damaged.json").write_text("{")
    recorded = {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()}
    (root / ".assets" / "asset.json").write_text(json.dumps({"sha256_of": recorded}))
    np.testing.assert_array_equal(read_mat(path, ["table"])["table"], np.eye(3))
    savemat(path, {"table": 2 * np.eye(3)})
    with pytest.raises(DataError, match="SHA-256 is not the one recorded"):
        read_mat(path, ["table"])


@pytest.mark.parametrize("place", range(-40, 0))
def test_a_changed_byte_of_a_compressed_variable_never_changes_a_value(place: int, tmp_path: Path) -> None:
    path = tmp_path / "file.mat"
    savemat(path, {"table": np.arange(12.0).reshape(3, 4)}, do_compression=True)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_mat(path, ["table"])


@pytest.fixture
def little_memory() -> Any:
    """Limit the memory, so that allocating gigabytes raises a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    if Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(number: int, shape: tuple[int, ...], content: bytes, name: bytes = b"") -> bytes:
    sides = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, element(6, struct.pack("<II", number, 0)) + sides + element(1, name) + content)


def compressed(content: bytes) -> bytes:
    return struct.pack("<II", 15, len(content)) + content


FILE_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
HOSTILE = {
    "missing cells": matrix(1, (2**30, 1), b"", b"a"),
    "missing text": matrix(1, (1, 1), matrix(4, (1, 2**31 - 1), element(16, b"")), b"a"),
    "missing numbers": matrix(6, (2**30, 8), element(9, b"12345678"), b"a"),
    "sides below zero": matrix(6, (-(2**15), -(2**15)), element(9, b"12345678"), b"a"),
    "a length beyond the file": matrix(6, (1, 1), struct.pack("<II", 9, 2**32 - 1), b"a"),
    "an unknown type of numbers": matrix(6, (1, 1), element(200, b"12345678"), b"a"),
    "an unknown class": matrix(99, (1, 1), element(9, b"12345678"), b"a"),
    "cells in cells": matrix(1, (1, 1), matrix(1, (1, 1), matrix(6, (1, 1), element(9, b"12345678"))), b"a"),
}


@pytest.mark.parametrize("claim", HOSTILE)
@pytest.mark.parametrize("packed", [True, False])
def test_a_small_file_can_neither_allocate_gigabytes_nor_end_the_process(
    claim: str, packed: bool, tmp_path: Path, little_memory: None
) -> None:
    variable = compressed(zlib.compress(HOSTILE[claim])) if packed else HOSTILE[claim]
    (tmp_path / "file.mat").write_bytes(FILE_HEADER + variable)
    with pytest.raises(DataError, match="shape|type|neither|middle of a variable|not text"):
        read_mat(tmp_path / "file.mat", ["a"])


def test_a_variable_that_decompresses_to_gigabytes_is_refused(tmp_path: Path, little_memory: None) -> None:
    packer = zlib.compressobj(1)
    head = matrix(9, (1, 2**28), b"", b"a") + struct.pack("<II", 2, 2**28 + 1)
    bomb = packer.compress(head) + b"".join(packer.compress(bytes(2**20)) for _ in range(257)) + packer.flush()
    (tmp_path / "file.mat").write_bytes(FILE_HEADER + compressed(bomb))
    with pytest.raises(DataError, match="larger than any of a benchmark"):
        read_mat(tmp_path / "file.mat", ["a"])
