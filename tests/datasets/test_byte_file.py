"""Bytes by position, without mapping the file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.datasets.byte_file import ByteFile
from svipctl.errors import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bytes") / "b"
    CONTENT.tofile(file)
    return file


@given(start=st.integers(0, 4096), rows=st.integers(0, 8), width=st.integers(0, 64))
def test_the_bytes_are_those_of_the_file(path: Path, start: int, rows: int, width: int) -> None:
    out = np.zeros((rows, width), dtype=np.uint8)
    file = ByteFile(path)
    if start + out.size > len(CONTENT):
        with pytest.raises(DataError, match="cut short"):
            file.read_into(out, start)
    else:
        file.read_into(out, start)
        assert np.array_equal(out.ravel(), CONTENT[start : start + out.size])


def test_a_file_read_in_small_pieces_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, start: real(file, [buffers[0][:7]], start))
    out = np.zeros(100, dtype=np.uint8)
    ByteFile(path).read_into(out, 9)
    assert np.array_equal(out, CONTENT[9:109])


def test_the_file_is_closed_with_its_last_reader(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
    for _ in range(50):
        ByteFile(path)
    after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
    assert after <= before
