"""Test archives of numpy from any source: read, or refused before they allocate memory."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from svipctl.errors import DataError, SvipError
from svipctl.npz_files import npz_shapes, read_npz

KINDS = st.sampled_from(["f2", "f4", "<f8", ">f8", "i1", "u8", "?", "U3", "S2", "c8"])


@settings(max_examples=40)
@given(
    array=arrays.arrays(KINDS, arrays.array_shapes(min_dims=0, min_side=0)),
    save=st.sampled_from([np.savez, np.savez_compressed]),
    order=st.sampled_from("CF"),
)
def test_archives_of_numpy_are_read_as_numpy_reads_them(
    array: Any, save: Callable[..., None], order: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    save(path, first=np.asarray(array, order=order), second=np.arange(3))
    found = read_npz(path)
    assert npz_shapes(path) == {"first": array.shape, "second": (3,)}
    assert found["first"].dtype == array.dtype
    assert np.array_equal(found["first"], array, equal_nan=array.dtype.kind in "fc")


def npy(header: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    encoded = header.encode("latin-1")
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(encoded)) + encoded + content


def header(dtype: str = "'<f8'", shape: str = "(2,)", order: str = "False") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def archive(content: bytes, kind: int = zipfile.ZIP_DEFLATED, name: str = "a.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as made:
        made.writestr(name, content)
    return file.getvalue()


def encrypted(content: bytes) -> bytes:
    whole = bytearray(archive(content))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        whole[whole.index(signature) + place] |= 1
    return bytes(whole)


TWO = bytes(16)
HOSTILE = {
    "nothing": b"",
    "a text": b"no archive",
    "an array alone": npy(header(), TWO),
    "an archive of a text": archive(b"text"),
    "a truncated archive": archive(npy(header(), TWO))[:-8],
    "objects": archive(npy(header("'|O'"), TWO)),
    "a pickle": archive(b"\x80\4N."),
    "fields": archive(npy(header("[('a', '<f8')]"), TWO)),
    "more numbers than stored": archive(npy(header(shape="(3,)"), TWO)),
    "fewer numbers than stored": archive(npy(header(shape="(1,)"), TWO)),
    "an endless shape": archive(npy(header(shape="(10**15,)"), TWO)),
    "a shape of floats": archive(npy(header(shape="(2.0,)"), TWO)),
    "a negative shape": archive(npy(header(shape="(-2,)"), TWO)),
    "a large shape": archive(npy(header(shape="(99999999999999999999,)"))),
    "a header of Python": archive(npy("__import__('os').system('touch PWNED')", TWO)),
    "a header that nests": archive(npy("(" * 3000, TWO)),
    "a header that nests lists": archive(npy(header(shape="[" * 900 + "]" * 900), TWO)),
    "a header that ends in a string": archive(npy("{'descr': '<f8", TWO)),
    "a header of minus signs": archive(npy(header(shape="-" * 5000 + "1"), TWO)),
    "a header of another version": archive(npy(header(), TWO, b"\7\0")),
    "a header of fields in UTF-8": archive(npy(header(), TWO, b"\3\0")),
    "a header longer than its file": archive(b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(30)),
    "a header of 50 MB": archive(b"\x93NUMPY\2\0" + struct.pack("<I", 5 * 10**7) + b" " * 5 * 10**7),
    "a bomb": archive(npy(header("'|u1'", "(50000000,)"), bytes(5 * 10**7))),
    "bzip2": archive(npy(header(), TWO), zipfile.ZIP_BZIP2),
    "LZMA": archive(npy(header(), TWO), zipfile.ZIP_LZMA),
    "a password": encrypted(npy(header(), TWO)),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("read", [read_npz, npz_shapes])
def test_archives_that_numpy_does_not_write_are_refused_without_allocating_memory(
    read: Callable[[Path], object], kind: str, tmp_path: Path
) -> None:
    (tmp_path / "a.npz").write_bytes(HOSTILE[kind])
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="not a .npz file of plain arrays"):
            read(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: None])
def test_an_unreadable_path_is_refused(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"a\.npz"):
        read_npz(tmp_path / "a.npz")


@settings(max_examples=150)
@given(place=st.integers(0, 400), junk=st.binary(min_size=1, max_size=6))
def test_a_changed_archive_gives_arrays_or_a_svip_error(
    place: int, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, first=np.arange(9.0), second=np.array(["a", "b"]))
    content = bytearray(path.read_bytes())
    content[place : place + len(junk)] = junk
    path.write_bytes(content)
    with suppress(SvipError):  # refused with a SvipError; any other exception fails the test
        assert all(isinstance(value, np.ndarray) for value in read_npz(path).values())
